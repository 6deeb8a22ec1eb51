"""Settings: every section and its bounds, read from a file and the environment, and checked."""
