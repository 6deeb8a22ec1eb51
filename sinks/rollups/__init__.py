"""Figures of calls by five minutes, hour and day, computed anew for the slots of which rows were written."""
