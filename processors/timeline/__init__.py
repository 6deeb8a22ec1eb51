"""The timeline of a call: what is shown of its state."""
