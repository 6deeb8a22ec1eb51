"""The work behind the commands on topics, tables, schemas, dead letters, conflicts, spools and accounts."""
