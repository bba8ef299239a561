"""The confirmation on fresh seeds: which settings, and the replicates that are trained at them."""
