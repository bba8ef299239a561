"""python -m checks.learning: networks learn on every backend of a device as they do on the definition, in float64.

The default study's networks (220 neurons, seq_mem of 5) are trained for 12 epochs on each backend that is usable there,
in float32, and on `reference` in float64. A backend passes if no network's validation loss L is ever further from L*,
that of the reference, than the precision of its products explains:

    max over epochs and networks of |L - L*| / L*  <=  1e-3 at "highest", 5e-2 at "high", 0.3 at "medium"

Training magnifies rounding. Measured on an H200, float32 leads to a deviation of 1e-5, three TF32 products to 6e-5, and
operands of 7 bits (bfloat16) to 0.16, 3e-2 of it after one epoch. Wrong gradients lead to as much as 0.6 after an epoch
and 3 after 12, if one step's state stands in place of another's, but only to 3e-2 after an epoch and 0.4 after 12
without the first of 11 steps or without one edge in a hundred: "highest" tells these apart, "medium" does not, and what
tells them there is the comparison of a single pass (`checks.kernels`, which every trial makes too).
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from biotune.machine import machine
from biotune.training import Trial, TrialPlan
from biotune_kernels import available_backends
from biotune_kernels.backends import DEFINITION
from biotune_kernels.contract import TOO_LARGE
from checks import default_study

TOLERANCE = {"highest": 1e-3, "high": 5e-2, "medium": 0.3}
"""torch.get_float32_matmul_precision() -> largest relative deviation of a validation loss."""


@dataclass(frozen=True)
class Learned:
    """What a backend learned.

    Attributes:
        losses: [epochs + 1][population], validation losses.
        deviation: the largest, relative to the reference's losses; infinite if a loss is not finite.
        epoch: that of the largest deviation.
        failure: why the backend failed; empty if it did not.
    """

    backend: str
    losses: list[list[float]]
    deviation: float
    epoch: int
    seconds: float
    failure: str = ""

    def passes(self, tolerance: float) -> bool:
        return not self.failure and self.deviation <= tolerance


def by_definition(plan: TrialPlan, epochs: int) -> Learned:
    """Trains the plan on `reference` in float64."""
    begin = time.perf_counter()
    losses = _curve(replace(plan, backend=DEFINITION, dtype=torch.float64), epochs)
    return Learned(f"{DEFINITION}, float64", losses.tolist(), 0.0, 0, time.perf_counter() - begin)


def on_backend(name: str, plan: TrialPlan, epochs: int, expected: Learned) -> Learned:
    """Trains the plan on a backend in float32, and compares it with what `by_definition` found."""
    begin = time.perf_counter()
    try:
        losses = _curve(replace(plan, backend=name), epochs)
    except TOO_LARGE as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        return Learned(name, [], float("inf"), 0, time.perf_counter() - begin, reason)
    exact = torch.tensor(expected.losses, dtype=torch.float64)
    off = ((losses - exact).abs() / exact).nan_to_num(nan=torch.inf).amax(dim=1)
    return Learned(name, losses.tolist(), float(off.max()), int(off.argmax()), time.perf_counter() - begin)


def _curve(plan: TrialPlan, epochs: int) -> torch.Tensor:
    """Validation losses [epochs + 1, population], float64."""
    trial = Trial(plan)
    for _ in range(epochs):
        trial.run_epoch()
    return torch.stack(trial.loop.validation_losses).double()


def row(learned: Learned, tolerance: float) -> str:
    """A line of the table."""
    last = f"{sum(learned.losses[-1]) / len(learned.losses[-1]):.6f}" if learned.losses else "–"
    verdict = "passes" if learned.passes(tolerance) else f"FAILS{learned.failure and ': '}{learned.failure}"
    where = f"{learned.deviation:.1e}", str(learned.epoch)
    return f"{learned.backend:19} {where[0]:>9} {where[1]:>6} {last:>10} {learned.seconds:>8.1f}  {verdict}"[:120]


HEADER = f"{'backend':19} {'deviation':>9} {'epoch':>6} {'last loss':>10} {'seconds':>8}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.learning", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--backends", help="which to check, as in dense,triton; by default all that are usable")
    parser.add_argument("--precision", choices=tuple(TOLERANCE), default="highest", help="of float32 products on a GPU")
    parser.add_argument("--epochs", type=int, default=12, help="default: 12")
    parser.add_argument("--replicates", type=int, default=2, help="networks, trained together; default: 2")
    parser.add_argument("--neurons", type=int, default=4, help="per region; fewer make it a quick check (default: 4)")
    parser.add_argument("--json", type=Path, help="write every loss to this file too, after each backend")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this PyTorch sees no CUDA device")
    if min(options.epochs, options.replicates, options.neurons) < 1:
        parser.error("--epochs, --replicates and --neurons are 1 or more")
    usable = [name for name, reason in available_backends(options.device).items() if reason is None]
    names = options.backends.split(",") if options.backends else usable
    if unknown := sorted(set(names) - set(usable)):
        parser.error(f"--backends: {', '.join(unknown)} can't be used here; usable: {', '.join(usable)}")

    torch.set_float32_matmul_precision(options.precision)
    tolerance = TOLERANCE[options.precision]
    given = {"neurons": options.neurons, "device": options.device}
    connectome = default_study.connectome()
    plan = default_study.plan("marmoset", connectome, range(options.replicates), **given)
    print(f"{connectome.name}, device {options.device}, precision {options.precision}; {machine()}\n\n{HEADER}")
    found = [by_definition(plan, options.epochs)]
    print(row(found[0], tolerance), flush=True)
    for name in names:
        found.append(on_backend(name, plan, options.epochs, found[0]))
        print(row(found[-1], tolerance), flush=True)
        if options.json:
            content = {"precision": options.precision, "tolerance": tolerance, "learned": list(map(asdict, found))}
            options.json.write_text(json.dumps(content, indent=1) + "\n")
    failed = [learned.backend for learned in found if not learned.passes(tolerance)]
    print(f"\ntolerance {tolerance:g}: {', '.join(failed) + ' failed' if failed else 'all pass'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
