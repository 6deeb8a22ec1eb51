"""Everything that the project writes for people and for log collectors: lines of logs, files of logs, terminals."""
