"""Null models: what rewires a graph of regions or neurons, and what it keeps."""
