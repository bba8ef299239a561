"""Kills a study again and again, at random moments, and compares its results with those of the same study left alone.

    python -m checks.faults
    python -m checks.faults --kills 20 --seed 1 --json faults.json
    python -m checks.faults --engine

Each kill is a SIGKILL: of the driver, of a worker that trains, or of the whole tree of processes, in search, in confirm
or while the report is made. Unless only a worker was killed, the study is then resumed with `--resume`. Trials run one
at a time, so that the two studies must agree bit for bit. The exit code is 1 if anything was lost, doubled, left
behind, or trained again for more than the interval between two checkpoints.

With `--engine`, an engine trains the networks of the study that is killed, and is itself killed too; the undisturbed
study has none.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from biotune.machine import machine
from biotune.results import Results
from biotune_kernels import available_backends
from checks.integrity import differences, events_of, faults
from checks.kills import ENGINE, KINDS, OF_TRAINING, Disturbed, Kill, Moment, directory_of, phase_of, start

SPACE = """# Does a study that is killed again and again end as if it had been left alone?
name: faults
seed: 5
task: {name: seq_mem, pattern_length: 5, trials: 500, batch: 128}
connectome: {name: "distance_rule:mouse_gamanut"}
topology: {neurons_per_region: 5}
arms:
  real: {}
  weights: {null: {name: weights_shuffled, level: region}}
  degrees: {null: {name: degree_preserving, level: region}}
  random: {null: {name: erdos_renyi, level: neuron}}
reference_arm: real
tune:
  learning_rate: {loguniform: [1.0e-3, 1.0e-2]}
  nonlinearity: {choice: [tanh, relu]}
search: {trials_per_arm: 6, shared_settings: 3, replicates: 2, max_epochs: 162, grace: 18, reduction: 3}
confirm: {replicates: 4, max_epochs: 200, population: 2}
"""


def leave_alone(space: Path, folder: Path, options: Sequence[str] = ()) -> tuple[Results, float]:
    """Runs the study undisturbed; returns its results, and the seconds that its report took.

    Raises:
        SystemExit: the study failed.
    """
    output, log = folder / "undisturbed", folder / "undisturbed.log"
    launch = start(log, "--space", space, "--output", output, *options)
    finished, directory = None, None
    while launch.process.poll() is None:
        time.sleep(0.05)
        directory = directory_of(output)
        if finished is None and directory is not None and phase_of(directory) == "finished":
            finished = time.monotonic()
    if launch.process.returncode or finished is None or directory is None:
        raise SystemExit(f"the undisturbed study failed: see {log}")
    return Results.open(directory), time.monotonic() - finished


def schedule(
    kills: int, seed: int, undisturbed: Results, report_seconds: float, kinds_there: Sequence[str] = KINDS
) -> list[Moment]:
    """Moments at random: a sixth of them while the report is made, the others while trials run; of all kinds."""
    generator = np.random.default_rng(seed)
    kinds = [kinds_there[number % len(kinds_there)] for number in range(kills)]
    generator.shuffle(kinds)
    of_report = [kind for kind in kinds if kind not in OF_TRAINING][: max(kills // 6, 1)]  # no worker runs by then
    for kind in of_report:
        kinds.remove(kind)
    # of each trial or block, in the order in which they ended
    seconds: dict[str, list[float]] = {"search": [], "confirm": []}
    trials = undisturbed.read_table("trials").set_index("trial")["seconds"]
    for event in events_of(undisturbed):
        if event["event"] == "ended":
            seconds["search"].append(trials[event["trial"]])
        elif event["event"] == "confirmed":
            seconds["confirm"].append(event["report"]["seconds"])
    share = sum(seconds["search"]) / sum(map(sum, seconds.values()))
    in_search = min(max(round(share * len(kinds)), 1), len(kinds) - 1)
    moments = []
    for phase, chosen in (("search", kinds[:in_search]), ("confirm", kinds[in_search:])):
        ends = np.cumsum(seconds[phase])
        passed, unit = 0.0, -1
        for kind, at in zip(chosen, np.sort(generator.uniform(0, ends[-1], len(chosen))), strict=True):
            done = int(np.searchsorted(ends, at))
            begun = ends[done] - seconds[phase][done]
            if done != unit:
                passed, unit = begun, done
            moments.append(Moment(kind, phase, done, float(at - passed)))
            passed = at
    return moments + [Moment(kind, "report", 0, float(generator.uniform(0, report_seconds))) for kind in of_report]


def print_kills(kills: Sequence[Kill], console: Console) -> None:
    """One row per kill."""
    table = Table(title="What was killed, and what had to be trained again")
    names = ("", "killed", "phase", "s in", "events", "running", "s lost", "epochs lost", "on from", "gone after")
    for column in names:
        table.add_column(column, justify="left" if column in ("killed", "phase", "running") else "right")
    for number, kill in enumerate(kills, 1):
        cost = (f"{kill.lost:.1f}", str(kill.epochs), str(kill.since)) if kill.running else ("", "", "")
        gone = "" if kill.gone is None else f"{kill.gone:.1f} s"
        place = (str(number), kill.kind, kill.phase, f"{kill.seconds_in:.0f}", str(kill.events), kill.running or "–")
        table.add_row(*place, *cost, gone)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both studies, prints what was found, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", type=Path, metavar="FILE", help="the study's YAML; default: one of its own")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="at least 3; default 20")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the schedule; default 1")
    parser.add_argument("--checkpoint-every", type=float, default=0.5, metavar="SECONDS", help="default 0.5")
    parser.add_argument(
        "--engine",
        action="store_true",
        help="an engine trains the networks of the study that is killed, and is killed too",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    given = parser.parse_args(arguments)
    kinds = (ENGINE, *KINDS) if given.engine else KINDS
    if given.kills < len(kinds):
        parser.error(f"--kills {given.kills}: at least {len(kinds)}, one of each kind")
    kernels, engine = [], []
    if given.engine:  # both studies need the same kernels, of those that an engine takes
        kernels = ["--kernels", "cpu" if available_backends("cpu")["cpu"] is None else "dense"]
        engine = ["--engine"]
    console = Console(width=None if sys.stdout.isatty() else 140)
    folder = Path(tempfile.mkdtemp(prefix="biotune-faults-"))
    space = given.space or folder / "faults.yaml"
    if given.space is None:
        space.write_text(SPACE)
    console.print(f"The undisturbed study … (all in {folder})", highlight=False)
    started = time.monotonic()
    undisturbed, report_seconds = leave_alone(space, folder, kernels)
    alone = time.monotonic() - started
    moments = schedule(given.kills, given.seed, undisturbed, report_seconds, kinds)
    console.print(f"It took {alone:.0f} s. The same, killed {given.kills} times (seed {given.seed}) …", highlight=False)
    disturbed = Disturbed(space, folder, given.checkpoint_every, undisturbed, engine, kernels)
    results = disturbed.run(moments)
    took = time.monotonic() - disturbed.begun
    wrong = [*disturbed.broken(), *faults(undisturbed), *faults(results), *differences(undisturbed, results)]
    print_kills(disturbed.kills, console)
    lost = [kill.lost for kill in disturbed.kills]
    console.print(
        f"{took:.0f} s instead of {alone:.0f} s; {sum(lost):.1f} s of training done again, at most {max(lost):.1f} s "
        f"per kill; a checkpoint every {given.checkpoint_every:g} s",
        highlight=False,
    )
    for one in wrong:
        console.print(f"WRONG: {one}", style="red", highlight=False)
    if not wrong:
        console.print(
            f"{len(results.read_table('trials'))} trials, {len(results.read_table('curves'))} evaluations: every table "
            "and number equals the undisturbed study's; nothing was lost, doubled, run again or left behind.",
            highlight=False,
        )
    if given.json:
        content: dict[str, Any] = {
            "machine": machine(),
            "kills": [asdict(kill) for kill in disturbed.kills],
            "seed": given.seed,
            "checkpoint_every": given.checkpoint_every,
            "seconds": {"undisturbed": alone, "disturbed": took},
            "wrong": wrong,
        }
        given.json.write_text(json.dumps(content, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
