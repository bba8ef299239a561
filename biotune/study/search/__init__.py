"""The search: what is tried next, what is stopped early, and Ray Tune, which runs it."""
