"""Checks of a study's design: simulated studies of a known answer, and the same study from many seeds."""
