"""The queries of the commands on dead letters and conflicts."""
