"""The invented world: people, calls and bindings, out of a seed."""
