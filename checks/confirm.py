"""python -m checks.confirm: the default study's confirm phase at one fixed setting, the same on every device.

    python -m checks.confirm --device cpu --save cpu.npz
    python -m checks.confirm --device cuda --save cuda.npz --against cpu.npz

trains a few replicates of each arm through `biotune.training.Trial`, on the backend that "auto" stands for, and
compares them with those of another device, machine, instruction set or precision. These must be the same: every edge
and its weight; initial values, within 1e-6; which networks converge; and the ratio of each arm's updates to criterion
to those of the reference arm (the geometric mean over pairs of replicates), within 1 % at "highest" and 2 % at "high"
and "medium". On a CPU, the ratios of two backends differed by less than 0.01 %, and by 0.2 % with bfloat16 products;
the study's margin is 20 %.
"""

import argparse
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from biotune.errors import UserError
from biotune.machine import machine
from biotune.training import Trial
from checks import default_study
from checks.default_study import ARMS, REFERENCE_ARM

TOLERANCE = {"highest": 0.01, "high": 0.02, "medium": 0.02}
"""torch.get_float32_matmul_precision() -> largest relative difference of a ratio."""

INITIAL = 1e-6
"""Largest difference of an initial value."""


@dataclass(frozen=True)
class Drawn:
    """One arm's replicates before training.

    Attributes:
        edges: int32 [replicates, 2, edges], targets and sources.
        weights: [replicates, edges], those of the topology.
        initial: [replicates, edges], initial recurrent values.
    """

    edges: np.ndarray
    weights: np.ndarray
    initial: np.ndarray


@dataclass(frozen=True)
class Confirmed:
    """One arm's replicates on one device.

    Attributes:
        updates: [replicates], to criterion.
        converged: bool [replicates].
        drawn: None if the replicates come from a study, whose tables don't hold it.
    """

    updates: np.ndarray
    converged: np.ndarray
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Row:
    """One arm on two devices.

    Attributes:
        here, there: ratio of its updates to criterion to the reference arm's, over pairs that converged; NaN if none.
        converged: how many networks did, here and there.
        wrong: what should be the same and isn't.
    """

    arm: str
    here: float
    there: float
    converged: tuple[int, int]
    wrong: tuple[str, ...]


def confirm(device: str, replicates: int, max_epochs: int, neurons: int = 4) -> dict[str, Confirmed]:
    """Trains every arm on a device, with `neurons` per region."""
    wired_by = default_study.connectome()
    found = {}
    for arm in ARMS:
        plan = default_study.plan(arm, wired_by, range(replicates), max_epochs, neurons=neurons, device=device)
        trial = Trial(plan)
        while not trial.finished:
            trial.run_epoch()
        outcome = trial.convergence()
        found[arm] = Confirmed(
            updates=np.array([one.updates for one in outcome]),
            converged=np.array([one.converged for one in outcome]),
            drawn=Drawn(
                edges=np.stack([np.stack((one.target, one.source)) for one in trial.topologies]).astype(np.int32),
                weights=np.stack([one.weight for one in trial.topologies]),
                initial=trial.initial_values,
            ),
        )
    return found


_ARRAYS = ("updates", "converged"), ("edges", "weights", "initial")


def save(file: Path, confirmed: dict[str, Confirmed]) -> None:
    """Writes everything that `confirm` found to an `.npz` file."""
    arrays = {
        f"{arm}/{name}": getattr(owner, name)
        for arm, one in confirmed.items()
        for owner, names in zip((one, one.drawn), _ARRAYS, strict=True)
        for name in names
    }
    np.savez_compressed(file, allow_pickle=False, **arrays)


def read(file: Path) -> dict[str, Confirmed]:
    """What `save` wrote.

    Raises:
        UserError: the file isn't there, or `save` did not write it.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {
                arm: Confirmed(
                    **{name: arrays[f"{arm}/{name}"] for name in _ARRAYS[0]},
                    drawn=Drawn(**{name: arrays[f"{arm}/{name}"] for name in _ARRAYS[1]}),
                )
                for arm in ARMS
            }
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{file}: not what --save of checks.confirm wrote ({error}); name a file that is") from None


def compare(here: dict[str, Confirmed], there: dict[str, Confirmed], tolerance: float) -> list[Row]:
    """Every arm on two devices.

    Raises:
        UserError: their numbers of replicates differ.
    """
    rows = []
    for arm in ARMS:
        counts = len(here[arm].updates), len(there[arm].updates)
        if counts[0] != counts[1]:
            raise UserError(
                f"arm {arm}: {counts[0]} replicates here, {counts[1]} there; give both the same --replicates"
            )
        converged = int(here[arm].converged.sum()), int(there[arm].converged.sum())
        ratios = _ratio(here, arm), _ratio(there, arm)
        rows.append(Row(arm, *ratios, converged, tuple(_differences(here[arm], there[arm], ratios, tolerance))))
    return rows


def _ratio(confirmed: dict[str, Confirmed], arm: str) -> float:
    one, other = confirmed[arm], confirmed[REFERENCE_ARM]
    pairs = one.converged & other.converged
    return float(np.exp(np.mean(np.log(one.updates[pairs] / other.updates[pairs])))) if pairs.any() else float("nan")


def _differences(here: Confirmed, there: Confirmed, ratios: tuple[float, float], tolerance: float) -> list[str]:
    wrong = []
    if here.drawn is not None and there.drawn is not None:
        wrong += _drawn_otherwise(here.drawn, there.drawn)
    if not np.array_equal(here.converged, there.converged):
        return [*wrong, "others converge"]
    if not np.isfinite(ratios[0]):
        return [*wrong, "no pair converges"]
    if (off := abs(ratios[0] / ratios[1] - 1)) > tolerance:
        wrong.append(f"ratios differ by {off:.1%}")
    if (off := float(np.abs(here.updates / there.updates - 1).max())) > tolerance:
        wrong.append(f"a network's updates differ by {off:.1%}")
    return wrong


def _drawn_otherwise(here: Drawn, there: Drawn) -> list[str]:
    if not (np.array_equal(here.edges, there.edges) and np.array_equal(here.weights, there.weights)):
        return ["other topologies"]
    off = float(np.abs(here.initial - there.initial).max())
    return [f"initial values off by {off:.1e}"] if off > INITIAL else []


HEADER = f"{'arm':9} {'ratio here':>10} {'there':>8} {'converged':>12}"


def row(found: Row) -> str:
    """A line of the table."""
    converged = f"{found.converged[0]} and {found.converged[1]}"
    verdict = "FAILS: " + ", ".join(found.wrong) if found.wrong else "the same"
    return f"{found.arm:9} {found.here:10.4f} {found.there:8.4f} {converged:>12}  {verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.confirm", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--precision", choices=tuple(TOLERANCE), default="highest", help="of float32 products on a GPU")
    parser.add_argument("--replicates", type=int, default=4, help="networks of each arm; default: 4")
    parser.add_argument("--epochs", type=int, default=60, help="the budget; default: 60")
    parser.add_argument("--neurons", type=int, default=4, help="per region; fewer make it a quick check (default: 4)")
    parser.add_argument("--save", type=Path, help="write everything to this .npz file")
    parser.add_argument("--against", type=Path, help="compare with what --save wrote elsewhere")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no CUDA device")
    if min(options.epochs, options.replicates, options.neurons) < 1:
        parser.error("--epochs, --replicates and --neurons are 1 or more")
    try:
        there = None if options.against is None else read(options.against)
    except UserError as error:
        parser.error(str(error))
    torch.set_float32_matmul_precision(options.precision)
    here = confirm(options.device, options.replicates, options.epochs, options.neurons)
    if options.save:
        save(options.save, here)
    print(f"device {options.device}, precision {options.precision}; {machine()}\n")
    for arm, one in here.items():
        print(f"{arm:9} {one.converged.sum()} of {len(one.converged)} converged, updates", end=" ")
        print(", ".join(f"{updates:.2f}" for updates in one.updates))
    if there is None:
        return 0
    try:
        rows = compare(here, there, TOLERANCE[options.precision])
    except UserError as error:
        parser.error(f"--against {options.against}: {error}")
    print("\n" + "\n".join([HEADER, *map(row, rows)]))
    return 1 if any(found.wrong for found in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
