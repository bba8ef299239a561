"""`biotune connectome`: lists connectomes, shows one, and downloads its files before a study needs them."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biotune.cli.arguments import natural, path
from biotune.errors import UserError, unknown_name

if TYPE_CHECKING:
    from biotune.connectome import Connectome
    from biotune.connectome.catalogue import Entry
    from biotune.io.published import DataFile

LONGEST_NAME = 40
"""Characters of a node's name."""

FEW_NAMES = 5
"""Of nodes that are too many to name all."""


def add_commands(commands: Any) -> None:
    """Adds `connectome` and its subcommands.

    Args:
        commands: what `add_subparsers` returned.
    """
    connectome = commands.add_parser("connectome", help="list connectomes, and show what one looks like")
    verbs = connectome.add_subparsers(required=True, metavar="VERB")
    verbs.add_parser("list", help="every connectome with a name").set_defaults(command=_list)
    show = verbs.add_parser("show", help="size, density, measures and a picture of its matrix")
    show.add_argument("name", metavar="NAME", help="as in a study; with --path any name")
    show.add_argument("--path", type=path, metavar="FILE", help="a file of your own")
    show.add_argument(
        "--set",
        action="append",
        default=[],
        dest="options",
        metavar="KEY=VALUE",
        help="a key of connectome, as in a study's YAML, such as size=100 or rows={Type: chemical}; can be repeated",
    )
    show.add_argument("--seed", type=natural, default=1, metavar="N", help="for a generator; default 1")
    show.add_argument("--png", type=path, metavar="FILE", help="also write the picture as an image")
    show.set_defaults(command=_show)
    fetch = verbs.add_parser("fetch", help="download a connectome's files into the cache, and check their digests")
    fetch.add_argument("name", metavar="NAME", help="a name of the catalogue, or all")
    fetch.set_defaults(command=_fetch)


def _list(_: argparse.Namespace, console: Console) -> int:
    from biotune.connectome import CATALOGUE
    from biotune.connectome.generators import DECAY_RATE, GENERATORS
    from biotune.connectome.random_graphs import RANDOM_GRAPHS

    for entry in CATALOGUE.values():
        _say(console, entry.name, style="bold")
        _say(console, f"  {entry.species}: {entry.size} {entry.nodes}, {entry.edges} edges")
        _say(console, f"  {entry.citation}")
    for rule in GENERATORS:
        species = [name for name, entry in CATALOGUE.items() if entry.species in DECAY_RATE]
        _say(console, f"{rule}:NAME", style="bold")
        _say(console, f"  drawn with the size and number of edges of NAME: {', '.join(species)}")
    for name, (_draw, options, citation) in RANDOM_GRAPHS.items():
        _say(console, name, style="bold")
        _say(console, f"  a random graph; options: {', '.join(options)}; {citation}")
    return 0


def _show(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.connectome import CATALOGUE, load_connectome
    from biotune.connectome.picture import save_picture, text_picture

    options = dict(map(_option, arguments.options))
    connectome = load_connectome(arguments.name, seed=arguments.seed, path=arguments.path, **options)
    provenance = connectome.provenance
    _say(console, connectome.name, style="bold")
    entry = CATALOGUE.get(connectome.name) if arguments.path is None else None
    nodes = entry.nodes if entry else "nodes"
    weight = abs(connectome.weight)
    rows: dict[str, object] = {
        "species": provenance.species,
        nodes: connectome.size,
        "edges": connectome.edges,
        "weights": f"{weight.min():.3g} to {weight.max():.3g}{', with signs' if connectome.signed else ''}",
        "orientation": provenance.orientation,
        "from": provenance.path or provenance.kind,
        "sha256": provenance.sha256 or "none",
        "citation": provenance.citation,
        "licence": provenance.licence,
    }
    rows |= {"note": "; ".join(provenance.notes)} if provenance.notes else {}
    for name, value in (rows | dict(_measure(connectome))).items():
        _say(console, f"  {name.replace('_', ' '):<20} {f'{value:.4g}' if isinstance(value, float) else value}")
    for name, value in _names(connectome):
        _say(console, f"  {name:<20} {value}")
    _say(console, "rows are targets, columns sources:")
    _say(console, text_picture(connectome, min(connectome.size, 96)))
    if arguments.png is not None:
        save_picture(connectome, arguments.png)
        _say(console, f"picture: {arguments.png}")
    return 0


def _names(connectome: "Connectome") -> list[tuple[str, str]]:
    """The names of all nodes, in the order of the matrix; of many the first, and those with the strongest edges."""
    import numpy as np

    from biotune.connectome.names import MOST_NAMED, shown

    if connectome.labels is None:
        return [("names", "none")]
    names = shown(connectome.labels, LONGEST_NAME)
    if connectome.size <= MOST_NAMED:
        return [("names", ", ".join(names))]
    rows = [("names", f"{', '.join(names[:FEW_NAMES])}, …")]
    for what, ends in (("strongest sources", connectome.source), ("strongest targets", connectome.target)):
        strength = np.bincount(ends, np.abs(connectome.weight), connectome.size)
        strongest = np.argsort(-strength, kind="stable")[:FEW_NAMES]
        rows.append((what, ", ".join(f"{names[node]} ({strength[node]:.3g})" for node in strongest)))
    return rows


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or key in ("name", "path", "seed"):
        raise UserError(
            f"--set {text}: give it as KEY=VALUE, such as size=100; name, path and seed have options of their own"
        )
    import yaml

    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"--set {text}: {value!r} is not a YAML value") from None


def _fetch(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.connectome import CATALOGUE
    from biotune.io.published import obtain

    if arguments.name != "all" and arguments.name not in CATALOGUE:
        raise unknown_name("connectome", arguments.name, [*CATALOGUE, "all"])
    for entry in CATALOGUE.values() if arguments.name == "all" else [CATALOGUE[arguments.name]]:
        for file in _files(entry):
            found = obtain(file)
            _say(
                console, f"{entry.name}: {found.path} ({found.kind}), {len(found.content)} bytes, SHA-256 as published"
            )
    return 0


def _files(entry: "Entry") -> list["DataFile"]:
    return [file for file in (entry.file, entry.names, entry.cell_types) if file is not None]


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, soft_wrap=True)


def _measure(connectome: "Connectome") -> dict[str, float | str]:
    """The measures of a connectome whose nodes are taken as one neuron each."""
    import numpy as np

    from biotune.topology import expand, measure_row

    generator = np.random.default_rng(0)  # unused: nothing is random here
    one_each = expand(connectome, neurons_per_region=1, intrinsic=False, keep_diagonal=True, generator=generator)
    return measure_row(one_each)
