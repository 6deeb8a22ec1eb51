"""The state of one call: what is known of it, and how two states of it merge."""
