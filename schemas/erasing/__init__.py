"""Erasures in bodies and on the way of a part: the search of a body for numbers, and the list that parts follow."""
