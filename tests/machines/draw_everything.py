"""Draws one of everything that a study draws, and prints its digests as JSON: run on machines that may differ.

    python tests/machines/draw_everything.py [FILE]

FILE (.npz) receives the initial weights scaled to a spectral radius, which LAPACK has a part in.
"""

import hashlib
import json
import sys
from dataclasses import asdict

import numpy as np

from biotune.connectome import Connectome, load_connectome
from biotune.network import NetworkOptions, Population
from biotune.seeds import generator, streams_digest
from biotune.study.definition.phases import Domain, SearchConfig
from biotune.study.search.sampler import ArmSampler
from biotune.tasks import TASKS, make_task
from biotune.topology import NULLS, Topology
from biotune.training import Trial, TrialPlan, draw_topology

CONNECTOMES = {
    "cortex": {"name": "distance_rule:marmoset"},
    "erdos_renyi": {"name": "erdos_renyi", "size": 60, "edges": 700},
    "watts_strogatz": {"name": "watts_strogatz", "size": 60, "neighbours": 8, "rewiring": 0.2},
    "stochastic_block": {"name": "stochastic_block", "blocks": [30, 20], "densities": [[0.5, 0.1], [0.1, 0.5]]},
}
EXPANSIONS = {
    "dirichlet": {"neurons_per_region": 4},
    "stick_breaking": {"neurons_per_region": 5, "partition": "stick_breaking", "keep_diagonal": True},
    "uneven": {"neurons_per_region": [*range(2, 9)] * 7 + [30] * 6, "target_sparsity": 0.3},
}
INITIALISATIONS = {
    "default": NetworkOptions(radius=None),
    "magnitude": NetworkOptions(radius=None, remap="magnitude", initialisation="xavier"),
    "unmapped": NetworkOptions(radius=None, remap=None, initialisation="he"),
    "signs": NetworkOptions(radius=None, remap="magnitude", signs=0.2, dale=True),
}


def digest(*arrays: np.ndarray) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def of_topology(topology: Topology) -> str:
    return digest(topology.target, topology.source, topology.weight, topology.region)


def plan(connectome: Connectome, **changes: object) -> TrialPlan:
    options = {
        "task": {"name": "seq_mem", "pattern_length": 3},
        "trials": 60,
        "train_share": 0.8,
        "batch": 16,
        "connectome": connectome,
        "topology": EXPANSIONS["dirichlet"],
        "null": None,
        "network": NetworkOptions(radius=None),
        "seed": 1,
        "phase": "confirm",
        "replicates": (0, 1),
        "max_epochs": 5,
        "level": 1e-3,
        "sustain": 1,
        "backend": "reference",
    }
    return TrialPlan(**(options | changes))  # type: ignore[arg-type]


def weights(population: Population) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in population.parameters()]


def draw_everything() -> tuple[dict[str, str], dict[str, np.ndarray]]:
    found = {"streams": streams_digest()[:16]}
    connectomes = {name: load_connectome(seed=1, **options) for name, options in CONNECTOMES.items()}  # type: ignore[arg-type]
    found |= {f"connectome {name}": connectome.digest[:16] for name, connectome in connectomes.items()}
    cortex = connectomes["cortex"]
    for name, options in EXPANSIONS.items():
        found[f"expansion {name}"] = of_topology(draw_topology(plan(cortex, topology=options), 0))
    for null in NULLS:
        for level in ("region", "neuron"):
            for fraction in (1.0, 0.5):
                if (null, level) == ("block_preserving", "region"):
                    continue
                rewired = {"name": null, "level": level, "weights": "carried", "fraction": fraction}
                drawn = draw_topology(plan(cortex, null=rewired, phase="search"), 1)
                found[f"null {null} {level} {fraction}"] = of_topology(drawn)
    for name, network in INITIALISATIONS.items():
        trial = Trial(plan(cortex, network=network))
        found[f"initial weights {name}"] = digest(*weights(trial.loop.population))
        found[f"order {name}"] = digest(*(trial.loop.order(epoch) for epoch in (0, 1, 49, 50)))
    for name in TASKS:
        trials = make_task(name).trials(20, generator(1, "confirm", 0, "trials"))
        found[f"trials {name}"] = digest(trials.inputs, trials.targets)
    found["settings"] = settings()
    scaled = {}
    for name, network in INITIALISATIONS.items():
        options = asdict(network) | {"radius": 0.9}
        population = Trial(plan(cortex, network=NetworkOptions(**options))).loop.population
        scaled |= {f"{name} {index}": array for index, array in enumerate(weights(population))}
    return found, scaled


def settings() -> str:
    """What an arm's sampler proposes: the shared settings, and 30 of TPE's for a made-up loss."""
    tune = {
        "learning_rate": Domain(loguniform=[1e-4, 1e-1]),
        "gradient_clip": Domain(uniform=[0.1, 3.0]),
        "nonlinearity": Domain(choice=["tanh", "relu"]),
    }
    search = SearchConfig(trials_per_arm=40, shared_settings=10)
    sampler = ArmSampler("arm", tune, search, seed=1)
    proposed = []
    for index in range(40):
        setting, _ = sampler.propose(index)
        proposed.append(setting)
        sampler.learn(index, "completed", abs(setting["learning_rate"] - 0.01) + setting["gradient_clip"] / 100)
    return hashlib.sha256(json.dumps(proposed).encode()).hexdigest()[:16]


if __name__ == "__main__":
    digests, arrays = draw_everything()
    if len(sys.argv) > 1:
        np.savez(sys.argv[1], **arrays)  # type: ignore[arg-type]
    print(json.dumps(digests, indent=1))
