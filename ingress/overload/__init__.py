"""Too many callers: who is heard, who waits, and who is turned away first."""
