"""The ledger of elements: what became of each, by its coordinates on `calls.raw`."""
