"""The store of the calls' states: one partition in memory, its changelog on Kafka, and its restore."""
