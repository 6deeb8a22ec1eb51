"""Everything on one machine: the stack of `callweave up`, its numbers and its terminal view."""
