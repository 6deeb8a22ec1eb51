"""A body's bytes to a document: compression, charset, JSON with repairs, keys and wrappings."""
