"""Avro bodies of many records as columns: each step reads one field of all of them."""
