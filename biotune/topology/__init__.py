"""From wiring to neurons: the expansion of a connectome, its nulls, and what is measured in them."""

from biotune.topology.expand import PARTITIONS, expand
from biotune.topology.wiring import Topology

__all__ = ["PARTITIONS", "Topology", "expand"]
