"""The store of all states: one partition in memory, its changelog on Kafka, and the way back."""
