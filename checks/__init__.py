"""Commands that check a whole machine: too long for the test suite, each with a table and an exit code."""
