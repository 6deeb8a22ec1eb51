"""Publishes to Kafka: one producer, its connection, and the moment at which a body is durable."""
