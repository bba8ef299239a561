"""Reading a connectome from a file, whatever its format; nothing is imported here, since some readers need pyarrow."""
