"""Runs several ingress processes behind one port."""
