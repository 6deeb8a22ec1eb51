"""The embedded Apache Kafka, and how it is configured, fetched and started."""
