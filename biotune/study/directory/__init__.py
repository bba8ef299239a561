"""A study's results directory: made, locked, described, copied to a storage."""
