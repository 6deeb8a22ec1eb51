"""The implementation of the commands on topics, tables, schemas, dead letters, conflicts, spools and accounts."""
