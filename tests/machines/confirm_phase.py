"""Confirms two arms of the default study at a fixed setting, a few pairs, and prints each network's updates as JSON.

    python tests/machines/confirm_phase.py [--instructions 0|1|2]

Without Ray: what a worker does, in this process. --instructions: the widest that the compiled kernels may use.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch

from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.training import Trial
from biotune_kernels.backends.cpu.library import library

SPACE = Path(__file__).parents[2] / "search_spaces" / "seq_mem.yaml"
SETTING = {"learning_rate": 0.005, "nonlinearity": "tanh"}
PAIRS = 3
OVERRIDES = ["confirm.max_epochs=15", "connectome.name=distance_rule:marmoset", "task.pattern_length=3"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instructions", type=int)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    compiled = library()
    if arguments.instructions is not None and compiled is not None:
        compiled.sparse_rnn_instructions(arguments.instructions)
    study = load_study(SPACE, overrides=OVERRIDES, arms=["random"])
    backend = "dense" if compiled is None else "cpu"
    plans = Plans.load(study)
    found = {}
    for arm in study.arms:
        plan = study.plan(
            arm,
            SETTING,
            phase="confirm",
            replicates=range(PAIRS),
            connectome=plans.connectomes[arm],
            backend=backend,
            device="cpu",
        )
        trial = Trial(plan)
        initial = trial.loop.population.values.detach().flatten().tolist()
        while not trial.finished:
            trial.run_epoch()
        edges = hashlib.sha256(b"".join(t.target.tobytes() + t.source.tobytes() for t in trial.topologies))
        outcome = trial.convergence()
        found[arm] = {
            "topology": edges.hexdigest(),
            "initial": initial[:: max(len(initial) // 1000, 1)],
            "updates": [one.updates for one in outcome],
            "converged": [one.converged for one in outcome],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
