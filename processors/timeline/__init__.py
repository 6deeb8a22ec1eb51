"""The timelines of a call: its state as it is shown."""
