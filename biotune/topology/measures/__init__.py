"""Measures of a topology."""
