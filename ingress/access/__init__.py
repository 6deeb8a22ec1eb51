"""Decides who may push: the checks of an account, from a request's head, its body and the time to a verdict."""
