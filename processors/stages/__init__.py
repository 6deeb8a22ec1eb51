"""The stages: the steps of the two agents, normalise and join."""
