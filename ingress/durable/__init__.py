"""The promise that an acknowledged body is kept: Kafka while it answers, else the spool, and back from it."""
