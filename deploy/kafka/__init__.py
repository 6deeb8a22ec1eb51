"""The embedded Apache Kafka: its files, Java runtime, configuration and process."""
