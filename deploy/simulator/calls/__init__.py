"""True calls and bindings, and the numbers, ids and timings of which they are made."""
