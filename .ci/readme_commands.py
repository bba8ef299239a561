"""Prints the commands of a README's first block after a heading: `readme_commands.py README.md "Run the tests"`."""

import re
import sys
from pathlib import Path

file, heading = sys.argv[1:]
found = re.search(rf"^#+ {re.escape(heading)}$.*?^```bash\n(.*?)^```", Path(file).read_text(), re.M | re.S)
if not found:
    sys.exit(f"{file}: no ```bash block under the heading {heading!r}")
print(found.group(1), end="")
