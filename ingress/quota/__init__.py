"""Bounds on how much one account pushes, and on how often one unknown address is answered in full."""
