"""The disk that takes bodies while Kafka is away."""
