"""One server of ClickHouse, or one of several: its address, its client, and what is wrong with it."""
