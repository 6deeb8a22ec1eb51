"""The way before the first byte of HTTP: accepting, the PROXY protocol, TLS."""
