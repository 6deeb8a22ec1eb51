"""Reads a body's bytes into a document: compression, charset, JSON with repairs, forms, XML, keys and wrappings."""
