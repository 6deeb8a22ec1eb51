"""The steps of the two agents: normalise and join."""
