"""`callweave doctor`: checks everything that the stack needs, and says what to do about each fault."""
