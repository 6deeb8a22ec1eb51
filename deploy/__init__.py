"""How the parts run: the command line, the local stack, containers, dashboards, runbook. No business rules."""
