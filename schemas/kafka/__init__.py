"""The one way to Kafka: every client's options, tokens for the login, the rights of each part, and why it fails."""
