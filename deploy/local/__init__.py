"""Everything on one machine: the stack of `callweave up`, its statistics and its terminal view."""
