"""Tools for whoever writes a vendor file: a skeleton from a captured body, and a trial without Kafka."""
