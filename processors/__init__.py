"""From raw bodies to canonical records and whole calls: normalise, dedupe, join, time out.

`run` composes one worker. The deciding modules (`normalise`, `join` and what they stand on) are pure; `normalise_stage` and
`join_stage` bring them to Kafka through Faust agents that read slices (`slices`, `lanes`).
"""
