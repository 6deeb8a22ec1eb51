"""Faust, and what makes it hold: transport, order per partition, commits, assignments, the watchdog."""
