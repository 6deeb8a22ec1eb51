"""The state of one call: all that is known of it, and how two such states merge."""
