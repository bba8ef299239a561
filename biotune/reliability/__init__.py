"""How a study stands up to faults and load: each module is a command that says what it found, and on which machine."""
