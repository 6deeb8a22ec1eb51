"""The bundled vendors: calls invented from a seed, sent as each vendor sends them, with a ledger of what must come out.

It is the oracle of the end-to-end tests, so it knows the vendors from their documents alone: it must not import the
files of `schemas.vendors` or the processors, whose work it judges. It shares only the words of `schemas.facts`.
"""
