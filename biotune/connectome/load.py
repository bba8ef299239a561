"""A connectome by its name: out of the catalogue, out of a file of the user's own, or drawn from a rule."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from biotune.connectome.catalogue import CATALOGUE, Entry
from biotune.connectome.generators import GENERATORS
from biotune.connectome.readers import read_matrix, read_names
from biotune.connectome.sources import Unavailable, obtain
from biotune.connectome.wiring import Connectome, Provenance
from biotune.errors import UserError
from biotune.suggest import unknown_name


def load_connectome(name: str, *, otherwise: str | None = None, seed: int = 0, path: str | None = None) -> Connectome:
    """A connectome by name.

    A catalogue's file is looked for in the folder `BIOTUNE_DATA`, in an installed bio2art, in the cache, and is then
    downloaded; its SHA-256 is checked wherever it was.

    Args:
        name: a name of the catalogue (`marmoset`), or a generator with one (`distance_rule:marmoset`); any with `path`.
        otherwise: a generator's name: what takes the connectome's place where it can't be had, with its size and
            number of edges; `provenance.substitutes` and `provenance.reason` then say so.
        seed: of the generator.
        path: a `.npy` file of one's own, `[source, target]`, to be read instead.

    Raises:
        UserError: the name isn't known; the file can't be had and nothing was named to take its place; a file was found
            that isn't the published one, or that can't be read.
    """
    if otherwise is not None and otherwise not in GENERATORS:
        raise unknown_name("generator", otherwise, GENERATORS)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"connectome seed: {seed!r} is not a whole number of at least 0")
    if path is not None:
        return _from_file(name, Path(path).expanduser())
    generator, _, model = name.rpartition(":")
    if model not in CATALOGUE:
        known = [*CATALOGUE, *(f"{rule}:{species}" for rule in GENERATORS for species in CATALOGUE)]
        raise unknown_name("connectome", name, known)
    entry = CATALOGUE[model]
    if generator:
        if generator not in GENERATORS:
            raise unknown_name("generator", generator, GENERATORS)
        return GENERATORS[generator](entry, int(seed))
    try:
        return _from_catalogue(entry)
    except Unavailable as error:
        if otherwise is None:
            raise
        stand_in = GENERATORS[otherwise](entry, int(seed))
        reason = "; ".join(error.tried)
        return replace(stand_in, provenance=replace(stand_in.provenance, substitutes=name, reason=reason))


def _from_catalogue(entry: Entry) -> Connectome:
    found = obtain(entry.file)
    matrix = read_matrix(found.content, found.path)
    try:
        names_file = obtain(entry.names, download=found.kind in ("cache", "download"))
        labels = read_names(names_file.content, names_file.path)
    except Unavailable:
        labels = None  # names are an ornament: no number depends on them
    return _of_matrix(
        entry.name,
        matrix.T if entry.transposed else matrix,
        labels,
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


def _from_file(name: str, path: Path) -> Connectome:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; a .npy file with the weight matrix is needed") from error
    return _of_matrix(
        name,
        read_matrix(content, str(path)),
        None,
        Provenance(
            kind="file",
            species="not stated",
            citation="not stated",
            licence="not stated",
            orientation="taken as [source, target]",
            path=str(path),
            sha256=hashlib.sha256(content).hexdigest(),
        ),
    )


def _of_matrix(name: str, matrix: np.ndarray, labels: tuple[str, ...] | None, provenance: Provenance) -> Connectome:
    source, target = np.nonzero(matrix)
    return Connectome(name, len(matrix), source, target, matrix[source, target], provenance, labels)
