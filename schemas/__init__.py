"""Every contract that crosses a process border, and nothing that does I/O.

- `errors`: the tree of failures, each with a bounded code.
- `raw`, `facts`, `timeline`, `deadletter`: the typed records that flow on Kafka.
- `codec`, `avro/`: those records as Avro in Confluent framing, ids pinned.
- `topics`: the topics, their keys, partitions and retention.
- `vendors/`: one file a vendor; the only place where a vendor's words stand.
- `settings`, `config`: how the parts are configured.  `metrics`: what they count.
"""
