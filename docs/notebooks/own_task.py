# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own task
#
# A task is one Python file with one dataclass: what goes in at every step, what should come out, and what guessing would
# get. biotune trains it, scores it, and compares wirings on it.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import biotune as bt

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## The task
#
# Delayed parity: three bits come in, one per step; after a silent delay, the network has to say whether their number is
# odd. `null_loss` is what the best predictor without inputs gets: here ln 2, since odd and even are equally likely. The
# criterion is a share of it, so it must be right.

# %%
source = '''
"""Delayed parity of some bits."""

from dataclasses import dataclass

import numpy as np

from biotune.errors import UserError
from biotune.tasks import Task, Trials


@dataclass(frozen=True)
class Parity(Task):
    """Whether the number of ones is odd."""

    bits: int = 3
    delay: int = 2

    name = "parity"
    loss = "nll"
    input_size = 1
    output_size = 2  # classes: even, odd
    null_loss = float(np.log(2))
    null_accuracy = 0.5

    def __post_init__(self):
        if self.bits < 1 or self.delay < 0:
            raise UserError(f"task parity: bits is {self.bits} and delay {self.delay}; at least 1 and 0 are needed")

    @property
    def time(self):
        return self.bits + self.delay + 1

    @property
    def scored(self):
        return slice(self.time - 1, self.time)

    def trials(self, count, generator):
        bits = generator.integers(2, size=(count, self.bits))
        inputs = np.zeros((count, self.time, 1), np.float32)
        inputs[:, : self.bits, 0] = 2 * bits - 1
        return Trials(inputs, bits.sum(axis=1, keepdims=True) % 2)
'''
file = folder / "parity.py"
file.write_text(source)
name = f"{file}:Parity"

# %% [markdown]
# `make_task` checks that the trials have the shapes that the task promises. Look at some before you train anything:

# %%
task = bt.make_task(name, bits=3, delay=2)
trials = task.trials(4, np.random.default_rng(1))
for inputs, target in zip(trials.inputs[..., 0], trials.targets[:, 0], strict=True):
    print(inputs, "odd" if target else "even")

# %% [markdown]
# ## Can a network learn it at all?
#
# One population without Ray takes seconds. Four networks on four draws of a wiring:

# %%
cortex = bt.load_connectome("distance_rule:marmoset", rng=1)
wirings = [bt.expand(cortex, neurons_per_region=2, rng=draw) for draw in range(4)]
trained = bt.train(wirings, {"name": name, "trials": 400, "batch": 40}, epochs=60, network={"learning_rate": 3e-3})
trained

# %%
figure, axes = plt.subplots(figsize=(6, 3))
for network, curve in trained.curves.groupby("network"):
    axes.semilogy(curve["updates"], curve["validation_loss"], label=f"network {network}")
axes.axhline(trained.criterion, ls="--", color="grey", label="criterion")
axes.set(xlabel="updates", ylabel="validation loss")
axes.legend()
plt.close(figure)
figure

# %% [markdown]
# ## A study with it
#
# In a study's YAML it is `task: {name: parity.py:Parity, bits: 3, trials: 400, batch: 40}`, with the file beside the YAML.
# Here the default study is read with another task, and run as a first look.

# %%
parity = {"name": name, "bits": 3, "delay": 2, "trials": 400, "batch": 40}
study = bt.Study.example("seq_mem", {"task": parity, "topology.neurons_per_region": 2}, quick=True)
results = study.run(folder / "results")
results

# %% [markdown]
# Few or no networks met the criterion in so few epochs? Then nothing can be compared, and the report says so. Raise
# `confirm.max_epochs`, or look at the curves to see what is possible: `results.curves()`.
