"""Records at which workers die: noticed, told to the next worker, and put aside."""
