"""The default study through `tune_main.py` and Ray, at the one setting of `checks.confirm`."""

import json
from pathlib import Path

import numpy as np

from biotune.connectome import Connectome
from checks.confirm import Confirmed
from checks.default_study import ARMS, LEARNING_RATE


def command(
    device: str, wired_by: Connectome, replicates: int, epochs: int, output: Path, *, neurons: int = 4
) -> list[str]:
    """The command: one search trial per arm, at the only setting there is, and then the confirm phase."""
    changes = {
        "connectome": f"{{name: '{wired_by.name}'}}",
        "topology.neurons_per_region": str(neurons),
        "tune": f"{{learning_rate: {{choice: [{LEARNING_RATE}]}}}}",
        "search": "{trials_per_arm: 1, shared_settings: 1, replicates: 1, max_epochs: 3, grace: 1}",
        "confirm": f"{{replicates: {replicates}, max_epochs: {epochs}}}",
    }
    words = ["tune_main.py", "--space", "search_spaces/seq_mem.yaml", "--output", str(output)]
    words += ["--gpus-per-trial", "auto" if device == "cuda" else "0"]
    return words + [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]


def confirmed(output: Path) -> tuple[dict[str, Confirmed], str]:
    """The replicates of each arm of the only study in a folder, and the device on which they were trained."""
    import pandas as pd

    (results,) = output.iterdir()
    table = pd.read_parquet(results / "convergence.parquet")
    own = table[table["phase"] == "own_best"].sort_values("replicate")
    arms = {arm: own[own["arm"] == arm] for arm in ARMS}
    found = {
        arm: Confirmed(np.array(rows["updates"], float), np.array(rows["converged"], bool))
        for arm, rows in arms.items()
    }
    return found, str(json.loads((results / "state.json").read_text())["device"])
