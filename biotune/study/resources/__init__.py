"""What a trial runs on: its share of a machine and its kernels; and how long a study will take."""
