"""How long a report takes for many curves: a study's own results, repeated.

    python -m benchmarks.report results/seq_mem-20260101T120000Z --curves 10000

The study itself is only read; in a copy, the confirmed replicates are repeated under new numbers.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import pandas as pd

from biotune.digests import study_digest
from biotune.machine import machine
from biotune.report import make_report
from biotune.results import LABELS, TABLES, Results
from biotune.results.journal import Head


def main() -> None:
    """Makes the report and prints how long it took, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Time a report.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="a finished study")
    parser.add_argument("--curves", type=int, default=10_000, metavar="N", help="about so many; default 10000")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repeated = Results(folder)
        curves = repeat(Results.open(arguments.directory), repeated, arguments.curves)
        start = time.perf_counter()
        summary = make_report(folder)
        seconds = time.perf_counter() - start
        content = {
            "curves": curves,
            "pairs": summary.pairs,
            "arms": len(summary.arms),
            "seconds": round(seconds, 1),
            "page_mb": round(summary.page.stat().st_size / 1e6, 1),
            "machine": machine(),
        }
    print(json.dumps(content, indent=2))


def repeat(results: Results, into: Results, curves: int) -> int:
    """Writes a study whose confirmed replicates are those of `results` again and again.

    Returns:
        How many curves it has, about as many as asked for: one per replicate of each trial, in search and confirm.
    """
    study, tables = results.read_study(), {name: results.read_table(name) for name in TABLES}
    replicates = study["confirm"]["replicates"]
    confirmed = tables["curves"]["phase"].isin(LABELS)
    keys = ["phase", "trial", "replicate"]
    found, searched = (len(tables["curves"].loc[which, keys].drop_duplicates()) for which in (confirmed, ~confirmed))
    times = max(1, round((curves - searched) / max(found, 1)))

    def again(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table.assign(replicate=table["replicate"] + n * replicates) for n in range(times)])

    tables["curves"] = pd.concat([tables["curves"][~confirmed], again(tables["curves"][confirmed])])
    for name in ("convergence", "topologies"):
        tables[name] = again(tables[name])
    study["confirm"] |= {"replicates": times * replicates, "looks": None}
    changed = {"journal": Head(), "study_sha256": study_digest(study), "looks": [], "extensions": []}
    into.write_study(study)
    into.write_state(results.read_state().model_copy(update=changed))
    into.write_environment(results.read_environment())
    for name, table in tables.items():
        into.write_table(name, table.reset_index(drop=True))
    return searched + times * found


if __name__ == "__main__":
    main()
