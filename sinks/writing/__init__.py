"""Rows as the bytes that ClickHouse reads."""
