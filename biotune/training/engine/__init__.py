"""An engine: the networks of many trials in one population, stepped together.

On a GPU a step of many small networks takes hardly longer than that of one, so trials share a population: a trial hands
its networks, data and orders over (`handed`), they are put into slots of a population of fixed capacity (`slots`), and
are trained there until the trial has to be judged (`engine`). The trial itself asks now and then what has come of it
(`loop`), measures, and reports.

A network's numbers depend neither on the networks beside it, nor on its slot, nor on the capacity: only kernels that
are `independent` are taken.
"""

from biotune.training.engine.engine import Engine, Heard
from biotune.training.engine.handed import EngineError, EngineLost, Handed, NoEngine, NoRoom, Signature
from biotune.training.engine.loop import EngineLoop, Engines
from biotune.training.engine.slots import Slots, independent

__all__ = [
    "Engine",
    "EngineError",
    "EngineLoop",
    "EngineLost",
    "Engines",
    "Handed",
    "Heard",
    "NoEngine",
    "NoRoom",
    "Signature",
    "Slots",
    "independent",
]
