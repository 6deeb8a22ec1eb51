"""The kinds of proof that a push can bear, a file for each family."""
