"""Does the wiring of a brain make a recurrent network learn faster, and which property of the wiring does it?

>>> import biotune as bt
>>> cortex = bt.load_connectome("distance_rule:marmoset", rng=1)
>>> topology = bt.expand(cortex, rng=1)
>>> topology.size, topology.edges
(220, 23004)

What is listed in `__all__` is the library; each name is imported when it is first used. Everything else is how it is
made, in rooms that import each other one way only: `connectome` -> `topology` -> `network` (with `tasks`) -> `training`
-> `study` -> `results` -> `report` -> `library`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biotune.connectome import Connectome
    from biotune.errors import UserError
    from biotune.library.network import Network, load_network
    from biotune.library.results import StudyResults, load_results
    from biotune.library.study import Study
    from biotune.library.training import Training, train
    from biotune.library.wiring import expand, load_connectome, measure, rewire
    from biotune.tasks import make_task
    from biotune.topology import Topology

__version__ = "0.1.0"

__all__ = [
    "Connectome",
    "Network",
    "Study",
    "StudyResults",
    "Topology",
    "Training",
    "UserError",
    "expand",
    "load_connectome",
    "load_network",
    "load_results",
    "make_task",
    "measure",
    "rewire",
    "train",
]

_HOMES = {
    "Connectome": "biotune.connectome",
    "Network": "biotune.library.network",
    "Study": "biotune.library.study",
    "StudyResults": "biotune.library.results",
    "Topology": "biotune.topology",
    "Training": "biotune.library.training",
    "UserError": "biotune.errors",
    "expand": "biotune.library.wiring",
    "load_connectome": "biotune.library.wiring",
    "load_network": "biotune.library.network",
    "load_results": "biotune.library.results",
    "make_task": "biotune.tasks",
    "measure": "biotune.library.wiring",
    "rewire": "biotune.library.wiring",
    "train": "biotune.library.training",
}
"""Public name -> the module that it is imported from when it is first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'biotune' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
