"""One batch on its way into ClickHouse: gathered, inserted, repeated, or refused row by row."""
