"""Published Avro schemas, and the writers that are made from them."""
