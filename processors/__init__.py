"""The processors: raw bodies become canonical records and whole calls (normalise, deduplicate, join, time out).

`main` composes one worker. The deciding modules (`normalise`, `join` and what they import) are pure; `stages` connects
them to Kafka through Faust agents that read record batches (`engine`). The README of this folder has the way of a
record.
"""
