"""The command line: it reads options and calls the module that does the work."""
