"""Commands that measure how fast something is, and say on which machine; not part of the package."""
