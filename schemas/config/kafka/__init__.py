"""Settings of Kafka beyond its address: the login, the further options of the client, and their checks."""
