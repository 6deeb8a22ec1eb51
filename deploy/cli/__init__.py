"""The command line: it reads options and hands over."""
