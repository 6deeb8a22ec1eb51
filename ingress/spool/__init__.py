"""Keeps bodies on a local disk while Kafka is away."""
