"""Null models: how a graph of regions or neurons is rewired, and what each null keeps."""
