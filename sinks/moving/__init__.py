"""Moves the rows of the tables before slots into the tables with slots, day by day, and counts them."""
