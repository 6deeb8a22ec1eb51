"""Records at which workers die: noticed, remembered for the next worker, and put aside."""
