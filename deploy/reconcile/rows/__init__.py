"""Rows of the tables that people send, as texts and as workbooks, read within bounds."""
