"""The simulated vendors: one file each, which writes a true call in the vendor's words."""
