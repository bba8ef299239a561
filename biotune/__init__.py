"""Does the wiring of a brain make a recurrent network learn faster, and which property of the wiring does it?

One way only: `connectome` -> `topology` -> `network` (with `tasks`) -> `training` -> `study` -> `results` -> `report`.
"""

__version__ = "0.1.0"
