"""Keeps acknowledged bodies: Kafka while it answers, else the spool, from which they go to Kafka later."""
