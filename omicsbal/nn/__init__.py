"""Nets whose every parameter carries a leading member axis."""
