"""Run a study: `python tune_main.py --space search_spaces/seq_mem.yaml`."""

import sys

from biotune.cli import tune_main

if __name__ == "__main__":
    sys.exit(tune_main())
