"""Balancing strategies by name, and a table of them."""
