"""`callweave doctor`: looks at everything that the stack needs, and says what to do about what is missing."""
