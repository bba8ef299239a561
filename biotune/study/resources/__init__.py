"""What a trial runs on: its share of a machine, its kernels, and how long it will take."""
