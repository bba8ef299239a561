"""Every random number of a study comes from here: one generator for each (seed, phase, replicate, purpose).

Replicate r of every arm draws from the same generators, so arms share its data, its input weights and its initial
recurrent values, and can be compared in pairs. The confirm phase draws from others than the search.
"""

import numpy as np

PHASES = {"search": 0, "confirm": 1}
PURPOSES = {
    "trials": 0,  # the task's trials, training and validation
    "test_trials": 1,
    "order": 2,  # of the training trials in each epoch
    "connectome": 3,  # the null of the regions
    "expansion": 4,  # from regions to neurons
    "topology": 5,  # the null of the neurons
    "input_weights": 6,
    "recurrent_weights": 7,
    "readout_weights": 8,
    "ties": 9,  # the rank order of equal weights
    "signs": 10,  # which neurons are inhibitory
}


def generator(seed: int, phase: str, replicate: int, purpose: str, *further: int) -> np.random.Generator:
    """The generator of one purpose in one replicate; `further` numbers tell apart what is drawn anew, as each epoch."""
    return np.random.default_rng(np.random.SeedSequence([seed, PHASES[phase], replicate, PURPOSES[purpose], *further]))
