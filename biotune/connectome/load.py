"""A connectome by its name: from the catalogue, from a user's own file, or drawn from a rule.

The readers of files are imported only when a file is read: a connectome that is drawn from a rule needs none of the
libraries that they use.
"""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from biotune.connectome.catalogue import CATALOGUE, Entry
from biotune.connectome.connectome import Connectome, Provenance
from biotune.connectome.generators import GENERATORS
from biotune.connectome.random_graphs import RANDOM_GRAPHS, random_graph
from biotune.connectome.readers.edges import RawEdges
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError, unknown_name
from biotune.io.published import Unavailable, obtain


def load_connectome(
    name: str, *, otherwise: str | None = None, seed: int = 0, path: str | Path | None = None, **options: Any
) -> Connectome:
    """A connectome by name.

    A catalogue's file is looked for in the folder `BIOTUNE_DATA`, in an installed bio2art, in the cache, and is then
    downloaded; its SHA-256 is checked wherever it was found.

    Args:
        name: a name of the catalogue (`marmoset`), a generator with one (`distance_rule:marmoset`), or a random graph
            (`watts_strogatz`); with `path`, any name.
        otherwise: a generator's name: if the connectome can't be obtained, this generator draws one with the same size
            and number of edges in its place; `provenance.substitutes` and `provenance.reason` then say so.
        seed: of the generator.
        path: a user's own file, which is read instead.
        options: of a file, those of `Reading`; of a random graph, its parameters; of a connectome of the catalogue,
            `keep`.

    Raises:
        UserError: the name isn't known; the file can't be obtained and `otherwise` isn't given; a file was found that
            isn't the published one, or that can't be read; an option has no meaning for this connectome.
    """
    if otherwise is not None and otherwise not in GENERATORS:
        raise unknown_name("generator", otherwise, GENERATORS)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"connectome seed: {seed!r} is not a whole number of at least 0")
    if path is not None:
        return _from_file(name, Path(path).expanduser(), options)
    if name in RANDOM_GRAPHS:
        return random_graph(name, int(seed), options)
    generator, _, model = name.rpartition(":")
    if model not in CATALOGUE:
        known = [*CATALOGUE, *RANDOM_GRAPHS, *(f"{rule}:{species}" for rule in GENERATORS for species in CATALOGUE)]
        raise unknown_name("connectome", name, known)
    for option in options:
        if generator or option != "keep":
            raise UserError(f"connectome.{option} means nothing for {name}; leave it out")
    entry = CATALOGUE[model]
    if generator:
        if generator not in GENERATORS:
            raise unknown_name("generator", generator, GENERATORS)
        return GENERATORS[generator](entry, int(seed))
    try:
        return _from_catalogue(entry, options.get("keep"))
    except Unavailable as error:
        if otherwise is None:
            raise UserError(
                f"connectome {name}: {error}; or fetch it on a machine with a network (biotune connectome fetch "
                f"{name}), or name a generator that takes its place (connectome.otherwise: distance_rule)"
            ) from None
        stand_in = GENERATORS[otherwise](entry, int(seed))
        reason = "; ".join(error.tried)
        return replace(stand_in, provenance=replace(stand_in.provenance, substitutes=name, reason=reason))


def _from_catalogue(entry: Entry, keep: str | None) -> Connectome:
    from biotune.connectome.readers.read import read_cell_types, read_edges, read_names

    found = obtain(entry.file)
    reading = replace(entry.reading, transposed=entry.transposed)
    edges = read_edges(found.content, found.path, reading)
    labels = edges.labels
    for file, read in ((entry.names, read_names), (entry.cell_types, read_cell_types)):
        if file is not None:
            try:
                names = obtain(file, download=found.kind in ("cache", "download"))
                labels = read(names.content, names.path)
            except Unavailable:
                labels = None  # labels are for display alone: no number depends on them
    edges = replace(edges, labels=labels)
    if keep is not None:
        edges = edges.kept(keep, entry.name)
    return _connectome(
        entry.name,
        edges,
        Provenance(
            kind=found.kind,
            species=entry.species,
            citation=entry.citation,
            licence=entry.licence,
            orientation=entry.orientation,
            path=found.path,
            url=found.url,
            sha256=entry.file.sha256,
        ),
    )


def _from_file(name: str, path: Path, options: dict[str, Any]) -> Connectome:
    known = [one.name for one in fields(Reading)]
    for option in options:
        if option not in known:
            raise UserError(f"{path}: connectome.{option} means nothing for a file; known: {', '.join(known)}")
    from biotune.connectome.readers.child import CHILD

    reading = Reading(**options)
    edges, sha256 = CHILD.read(path.absolute(), reading)
    return _connectome(
        name,
        edges,
        Provenance(
            kind="file",
            species="not stated",
            citation="not stated",
            licence="not stated",
            orientation=f"taken as [{'target, source' if reading.transposed else 'source, target'}]",
            path=str(path),
            sha256=sha256,
        ),
    )


def _connectome(name: str, edges: RawEdges, provenance: Provenance) -> Connectome:
    return Connectome(
        name,
        edges.size,
        edges.source,
        edges.target,
        edges.weight,
        replace(provenance, notes=edges.notes),
        edges.labels,
    )
