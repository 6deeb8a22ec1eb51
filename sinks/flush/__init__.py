"""One batch on its way into ClickHouse: gathered, inserted, repeated, and bisected when rows are refused."""
