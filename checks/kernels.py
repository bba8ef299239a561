"""python -m checks.kernels: how far every backend that runs here is from its definition in float64.

    python -m checks.kernels --device cuda --precision high

Checks the shapes of `benchmarks.kernels`, remembers nothing, and exits with 1 if a backend deviates by more than its
tolerance. Every check runs twice, and the second one is timed: by then kernels are compiled and patterns sorted.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import torch

from benchmarks.kernels import add_machine_options, draw_pattern, take_machine_options, why_left_out
from biotune_kernels.backends import NAMES
from biotune_kernels.contract import NONLINEARITIES
from biotune_kernels.memory import describe_machine, versions
from biotune_kernels.verification import deviation, tolerance


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m checks.kernels", description=__doc__.splitlines()[0])
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    device, shapes = take_machine_options(parser, options)
    allowed = tolerance(torch.float32, options.precision)
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    print(f"{describe_machine(device)}; {used}; precision {options.precision}, tolerance {allowed:g}")
    wrong = 0
    for shape in shapes:
        pattern = draw_pattern(shape, torch.Generator().manual_seed(0)).to(device)
        print(f"\n{shape}", flush=True)
        for name in NAMES:
            if why_left_out(name, pattern, shape):
                continue
            for nonlinearity in NONLINEARITIES:
                for _ in range(2):
                    begin = time.perf_counter()
                    found = deviation(name, pattern, shape.batch, shape.input_size, nonlinearity)
                    seconds = time.perf_counter() - begin
                right = all(value <= allowed for value in found.values())
                wrong += not right
                values = ", ".join(f"{of} {value:.1e}" for of, value in found.items())
                verdict = "" if right else "  DEVIATES"
                print(f"  {name:12} {nonlinearity}  {values}  ({seconds:.2f} s){verdict}", flush=True)
    print(f"\n{wrong} passes deviate by more than {allowed:g}" if wrong else "\nall are what they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
