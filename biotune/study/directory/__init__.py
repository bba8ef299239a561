"""A study's results directory: made, locked, resumed, copied to a storage."""
