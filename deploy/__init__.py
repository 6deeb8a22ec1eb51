"""Runs the parts: the command line, the stack on one machine, embedded servers, the simulator. No business rules."""
