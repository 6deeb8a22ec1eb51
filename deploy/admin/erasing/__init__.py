"""Erasure and export of the data of one number or account: in tables, on topics, in the spool."""
