"""Readers of Avro that are made from the published schemas."""
