"""Graphs in the formats of graph programs: GraphML, GEXF, GML, Pajek and MatrixMarket."""

import io
import re
from typing import Any

import numpy as np
import scipy.io

from biotune.connectome.readers.edges import RawEdges, both_ways, check_weights, summed, with_directions
from biotune.connectome.readers.matrices import MOST_NODES, Matrix
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

NAMES = ("name", "label")
"""Attributes of nodes that are taken for their names, if every node has one of its own."""


def graph_kind(start: str) -> str | None:
    """Which of the formats a text is in.

    Args:
        start: of the file's content.
    """
    text = start.lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        return next((kind for kind in ("GraphML", "GEXF") if f"<{kind.lower()}" in text.lower()), "GraphML")
    if text.startswith("%%MatrixMarket"):
        return "MatrixMarket"
    if re.match(r"(\*network.*\s+)?\*vertices\s", text, re.IGNORECASE):
        return "Pajek"
    rows = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    if re.search(r"^\s*graph\s*\[|^\s*graph\s*$\s*^\s*\[", "\n".join(rows), re.MULTILINE):
        return "GML"
    return None


def read_graph(content: bytes, kind: str, where: str, reading: Reading) -> RawEdges:
    """The edges of a graph; an edge without direction goes both ways.

    Args:
        content: the file's bytes.
        kind: as `graph_kind` says; not MatrixMarket.
        where: the file's name, for errors.
        reading: how to read it.

    Raises:
        UserError: an edge has no weight, or it is no number; nodes have no such names.
    """
    import networkx as nx  # takes a while, and nothing else here needs it

    if kind in ("GraphML", "GEXF"):
        if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
            raise UserError(f"{where}: {kind} with definitions of its own (<!DOCTYPE>), which could grow without end")
        read: Any = {"GraphML": nx.read_graphml, "GEXF": nx.read_gexf}[kind]
        graph = read(io.BytesIO(content), node_type=str)
    else:
        text = content.decode(reading.encoding or "utf-8-sig")
        graph = nx.parse_gml(text, label=None) if kind == "GML" else nx.parse_pajek(text)
    nodes = list(graph.nodes)
    labels = _labels(graph, nodes, where, reading)
    place = {node: index for index, node in enumerate(nodes)}
    key = reading.columns.get("weight", "weight" if kind != "GML" or _has(graph, "weight") else "value")
    ends, weights = [], []
    for source, target, data in graph.edges(data=True):
        if key is not None and key not in data:
            raise UserError(
                f"{where}: edge {source} -> {target} has no {key}; it has {', '.join(data) or 'nothing'}; name it as "
                "connectome.columns.weight, or set that to null, so that each edge counts 1"
            )
        weight = 1.0 if key is None else data[key]
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise UserError(f"{where}: edge {source} -> {target} has the {key} {weight!r}; a number is needed")
        ends.append((place[source], place[target]))
        weights.append(float(weight))
    pairs, weight = np.array(ends, np.int64).reshape(-1, 2), np.array(weights)
    check_weights(weight, reading, where, lambda at: f"edge {' -> '.join(labels[end] for end in pairs[at])}")
    source, target = pairs[:, 0], pairs[:, 1]
    if graph.is_directed() or reading.undirected is False:
        return with_directions(summed(len(nodes), source, target, weight, labels), reading.undirected, where)
    # a multigraph may have several edges of one pair, in either order: all are summed
    low, high = np.minimum(source, target), np.maximum(source, target)
    ways = both_ways(low, high, weight, np.ones(len(low), bool), labels, where)
    note = "its edges have no direction: each was taken both ways"
    return summed(len(nodes), *ways, labels, (note,))


def read_matrix_market(content: bytes, where: str) -> Matrix:
    """The matrix of a MatrixMarket file; of a symmetric one, both triangles."""
    head = next((line for line in content.splitlines() if line.strip() and not line.startswith(b"%")), b"")
    sizes = [int(size) for size in head.split()]
    if max(sizes[:2], default=0) > MOST_NODES or (len(sizes) == 2 and sizes[0] * sizes[1] > len(content)):
        raise UserError(f"{where}: its head says {' x '.join(map(str, sizes[:2]))}, and less than that is there")
    return scipy.io.mmread(io.BytesIO(content), spmatrix=False)


def _has(graph: Any, key: str) -> bool:
    return all(key in data for _, _, data in graph.edges(data=True))


def _labels(graph: Any, nodes: list[Any], where: str, reading: Reading) -> tuple[str, ...]:
    """The nodes' names: an attribute of theirs, or their ids."""
    for attribute in NAMES if reading.labels is None else (reading.labels,):
        names = [str(graph.nodes[node].get(attribute, "")) for node in nodes]
        if "" not in names and len(set(names)) == len(names):
            return tuple(names)
        if reading.labels is not None:
            there = sorted({key for node in nodes for key in graph.nodes[node]})
            raise UserError(
                f"{where}: connectome.labels: not every node has a {attribute} of its own; nodes have "
                f"{', '.join(there) or 'no attributes'}"
            )
    return tuple(str(node) for node in nodes)
