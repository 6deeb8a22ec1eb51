"""Topics into ClickHouse: the tables and views that people query, and the worker that fills them.

- `migrations/`, `migrate`: the tables and views. What is inserted stands in `<name>_versions`; `<name>` and `v_<name>` are
  views that show the newest version of each row and never a repetition.
- `rows`, `batch`, `answers`: decide what becomes a row, when rows go in, and what an error means. Pure.
- `clickhouse`, `insert`, `round`, `group`, `worker`: carry it out.  `letters`, `dead`: dead letters made here, listed and sent again.
- `conflicts`: records whose final contents contradict each other, for whoever decides which one counts.

It knows the canonical types of `schemas` and no vendor.
"""
