"""A study from the predecessor's `config.ini`: bio_rnn_mem's grid, as a search that tries every combination.

The values in it are Python literals; they are read as literals, and nothing is run. What bio_rnn_mem did without saying
so in `config.ini` (edges reversed, gradients not clipped, the identical picture in a match) is written out in the
study, so that it can be seen and changed.

Source: Goulas, Damicelli & Hilgetag 2021, https://doi.org/10.1016/j.neunet.2021.07.011.
"""

import ast
import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biotune.connectome import CATALOGUE
from biotune.errors import UserError, unknown_name

CONNECTOMES = {
    entry.file.path.removeprefix("bio2art/C_").removesuffix(".npy"): entry
    for entry in CATALOGUE.values()
    if entry.file.path.startswith("bio2art/C_")
}
"""The predecessor's `net_name` -> the connectome."""

CONDITIONS = {"seq_mem": "pattern_length", "nback_mem": "n_back", "pic_mem": "n_back", "pic_latent_mem": "n_back"}
"""Task -> the key of the grid that makes it easier or harder. It isn't tuned: each of its values makes a study."""

TUNED = {"lr": "learning_rate", "nonlinearity": "nonlinearity", "optimizer": "optimizer"}
"""Each other key of the grid -> the key of `tune`."""

MEANINGLESS = {
    "paths.path_to_network": "connectomes are known by name; BIOTUNE_DATA names a folder that has their files",
    "paths.path_to_results": "say --output when the study is run",
    "paths.pretrained": "networks to start from are those of a finished study: network.start_from",
    "pretrainedparams.pretrained_epoch": "network.start_from takes the networks at the end of their training",
    "pretrainedparams.pretrained_iteration": "network.start_from takes a trained network for each replicate",
    "net.rnn_size": "the connectome has as many regions as it has",
    "trialparams.trial_params.rescale": "pixels and latents are always scaled to [0, 1]",
    "trialparams.trial_params.trial_length": "a trial of seq_mem is as long as its pattern makes it",
}
"""Key -> what to do instead, or why there is nothing to do."""

_NO_CLIPPING = 1e9


@dataclass(frozen=True)
class Imported:
    """What a `config.ini` is made into.

    Attributes:
        studies: suffix -> content of the YAML, with a study for each value of the task's own key in the grid. The
            suffix distinguishes their names, and is empty if there is one study.
        notes: what differs, one line each. ignored: keys that have no meaning here, with the reason.
    """

    studies: Mapping[str, dict[str, Any]]
    notes: tuple[str, ...]
    ignored: tuple[str, ...]


class _Values:
    """The values of a mapping, to be taken by key and type; in the end those that nothing was made of are left."""

    def __init__(self, file: Path, prefix: str, content: Mapping[str, Any]) -> None:
        self.file, self.prefix, self.left = file, prefix, dict(content)

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key.

        Raises:
            UserError: it is missing and has no default, or is of another type.
        """
        if key not in self.left:
            if default is None:
                raise UserError(f"{self.file}: {self.prefix}.{key} is missing")
            return default
        value = self.left.pop(key)
        fits = type(value) in ((int, float) if kind is float else (kind,))
        if not fits:
            raise UserError(f"{self.file}: {self.prefix}.{key} is {value!r}; {_WORDS[kind]} is needed")
        return value


_WORDS = {
    str: "a name",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    dict: "a dict",
    list: "a list",
}


def import_config(file: Path) -> Imported:
    """Reads a `config.ini` of bio_rnn_mem.

    Args:
        file: in the layout of its repository: sections `paths`, `net`, `trainvalidate`, `trialparams`, `combosparams`
            and, if wanted, `pretrainedparams`.

    Raises:
        UserError: it can't be read, a key is missing, or a value is not allowed there.
    """
    sections = _read(file)
    net, training, trials, combos = (sections[name] for name in ("net", "trainvalidate", "trialparams", "combosparams"))
    trial = _Values(file, "trialparams.trial_params", trials.take("trial_params", dict))
    grid = _Values(file, "combosparams.combos_params", combos.take("combos_params", dict))

    connectome, topology, arms, notes = _wiring(file, net)
    task, task_notes = _task(file, trial)
    condition = CONDITIONS[task["name"]]
    tune = {ours: {"choice": _choices(grid, theirs)} for theirs, ours in TUNED.items()}
    conditions = _choices(grid, condition)
    if grid.left:
        raise UserError(
            f"{file}: {grid.prefix} has {', '.join(map(repr, grid.left))}, which a grid for {task['name']} can't have; "
            f"known: {', '.join([*TUNED, condition])}"
        )
    epochs = training.take("epochs", int)
    study = {
        "topology": topology,
        "network": {
            "initialisation": training.take("init", str),
            "remap": "signed" if training.take("remap_w", bool) else False,
            "freeze_recurrent": training.take("freeze_layer", bool),
            "gradient_clip": _NO_CLIPPING,
        },
        "arms": arms,
        "reference_arm": "connectome",
        "tune": tune,
        "search": {
            "sampler": "grid",
            "replicates": training.take("iterations", int),
            "max_epochs": epochs,
            "grace": epochs,
        },
        "confirm": {"max_epochs": epochs},
    }
    studies = {}
    for value in conditions:
        suffix = f"_{condition}_{value}" if len(conditions) > 1 else ""
        name = f"{connectome['name']}_{task['name']}{suffix}"
        studies[suffix] = {"name": name, "task": task | {condition: value}, "connectome": connectome, **study}
    if len(studies) > 1:
        task_notes.append(f"{condition} makes the task easier or harder and isn't tuned: each of its values is a study")
    notes += [*task_notes, "no trial is stopped early: search.grace is the budget; lower it and most end sooner"]
    return Imported(studies, tuple(notes), tuple(_ignored([*sections.values(), trial])))


def _read(file: Path) -> dict[str, _Values]:
    """The sections of the file; a value that is no Python literal is text."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    try:
        with file.open(encoding="utf-8") as text:
            parser.read_file(text)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    except configparser.Error as error:
        raise UserError(f"{file}: not a config.ini: {' '.join(str(error).split())}") from None
    for name in ("net", "trainvalidate", "trialparams", "combosparams"):
        if not parser.has_section(name):
            raise UserError(f"{file}: the section [{name}] is missing; is this a config.ini of bio_rnn_mem?")
    return {
        name: _Values(file, name, {key: _literal(text) for key, text in parser.items(name)})
        for name in parser.sections()
    }


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _wiring(file: Path, net: _Values) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]:
    """The study's connectome, topology and arms, made from `[net]`, and notes."""
    net_name = net.take("net_name", str)
    if net_name not in CONNECTOMES:
        raise UserError(f"{file}: net.net_name: {unknown_name('connectome', net_name, CONNECTOMES)}")
    entry = CONNECTOMES[net_name]
    regions = net.left.get("rnn_size", entry.size)
    if regions != entry.size:
        raise UserError(f"{file}: net.rnn_size is {regions!r}, but {net_name} has {entry.size} regions")
    topology = {
        "neurons_per_region": net.take("nr_neurons", int),
        "target_sparsity": 0.8,
        "partition": "stick_breaking" if net.take("rand_partition", bool) else "equal",
        "spectral_radius": "as_it_comes",
    }
    shuffled = net.take("random_w", bool)
    notes = [
        f"net.random_w is {shuffled}: it ran the arm {'shuffled' if shuffled else 'connectome'}; "
        "the other one is there to compare it with"
    ]
    if entry.transposed:  # it alone was read the other way round there, and so it alone ran forwards
        arm: dict[str, Any] = {}
        notes.append(
            f"{net_name} ran forwards there, but with the shares of a region's outputs for those of its inputs"
        )
    else:
        arm = {"null": {"name": "direction_reversed", "level": "neuron"}}
        notes.append("it ran every edge backwards, and so does the arm connectome; {} in its place runs them forwards")
    arms = {"connectome": arm, "shuffled": {"null": {"name": "edges_shuffled", "level": "neuron"}}}
    return {"name": entry.name}, topology, arms, notes


def _task(file: Path, trial: _Values) -> tuple[dict[str, Any], list[str]]:
    """The task without its condition, and notes."""
    name = trial.take("task_name", str)
    if name not in CONDITIONS:
        raise UserError(f"{file}: {trial.prefix}.task_name: {unknown_name('task', name, CONDITIONS)}")
    task = {"name": name, "trials": trial.take("nr_of_trials", int), "train_share": trial.take("train_size", float)}
    notes = []
    if name != "seq_mem":
        task |= {"trials": 2 * task["trials"], "trial_length": trial.take("trial_length", int, 5)}
        notes.append("nr_of_trials there is that of matching trials, and of others: task.trials is both together")
    if name.startswith("pic_"):
        task |= {"pictures": "mnist", "match": "image"}
        notes.append("matching trials show the identical picture, as there; match: class asks for more")
    if name == "pic_latent_mem":
        notes.append("latents are those of an encoder trained here, not those of its file")
    return task, notes


def _choices(grid: _Values, key: str) -> list[Any]:
    values = grid.take(key, list)
    if not values or not all(type(value) in (int, float, str) for value in values):
        raise UserError(f"{grid.file}: {grid.prefix}.{key} is {values!r}; a list of numbers or names is needed")
    if len(set(values)) < len(values):
        raise UserError(f"{grid.file}: {grid.prefix}.{key} is {values!r}, which has a value twice; keep one")
    return values


def _ignored(sections: list[_Values]) -> list[str]:
    """A line for each key that nothing was made of."""
    left = [f"{section.prefix}.{key}" for section in sections for key in section.left]
    return [f"{key}: {MEANINGLESS.get(key, 'bio_rnn_mem describes no such key')}" for key in left]
