"""Checks of a study's design: simulated studies whose answer is known, and the same study run with many seeds."""
