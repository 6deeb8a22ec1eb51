"""Writes topics into ClickHouse, and owns the tables and views that people query.

It knows the canonical types of `schemas` and no vendor. `README.md` beside this file shows the way of a record.
"""
