"""How the parts run: the command line, the stack on one machine, the embedded servers, the simulator. No business rules."""
