"""HTTP in: which address it is, who may use it, the body read within bounds, and the answer."""
