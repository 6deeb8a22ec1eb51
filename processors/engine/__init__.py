"""The Faust engine: transport, order per partition, commits, assignments, the watchdog."""
