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
# # What a trained network did
#
# A network on a connectome's wiring has learnt to replay a sequence. Where is the memory, and which regions hold it? This
# takes the trained weights apart with NumPy alone.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import biotune as bt

# %% [markdown]
# Train one; a study's are taken with `bt.load_results(directory).network("marmoset", replicate=3)`.

# %%
LENGTH = 5
cortex = bt.load_connectome("marmoset", otherwise="distance_rule")
wiring = bt.expand(cortex, neurons_per_region=2, rng=1)
task = {"name": "seq_mem", "pattern_length": LENGTH, "trials": 600, "batch": 60}
trained = bt.train(
    wiring, task, epochs=60, network={"learning_rate": 5e-3, "remap": "magnitude"}, regions=cortex.labels
)
[network] = trained.networks
trained

# %% [markdown]
# ## Inputs, states, outputs
#
# `network(inputs)` gives the outputs at every step, `network.states(inputs)` those of all neurons: arrays
# `[trials, time, neurons]`. New trials, which it has never seen:

# %%
trials = network.task.trials(500, np.random.default_rng(7))
states, outputs = network.states(trials.inputs), network(trials.inputs)
errors = (outputs[:, network.task.scored] - trials.targets) ** 2
print("states", states.shape, "loss", errors.mean().round(4), "of guessing", round(network.task.null_loss, 4))

# %%
figure, axes = plt.subplots(figsize=(6, 2.5))
steps = np.arange(network.task.time)
axes.plot(steps, trials.inputs[0, :, 1], "o-", label="shown")
axes.plot(steps[network.task.scored], trials.targets[0, :, 0], "s", mfc="none", label="wanted")
axes.plot(steps[network.task.scored], outputs[0, network.task.scored, 0], "x-", label="given")
axes.set(xlabel="step", ylabel="value")
axes.legend()
plt.close(figure)
figure

# %% [markdown]
# ## When is which value known?
#
# For each value of the pattern and each step, how much of its variance a linear readout of all neurons explains, on trials
# that the readout wasn't fitted to. A value can be read from when it is shown until it is replayed.

# %%
fit, test = slice(0, 400), slice(400, 500)
shown = trials.inputs[:, :LENGTH, 1]
explained = np.zeros((LENGTH, network.task.time))
for step in range(network.task.time):
    seen = np.column_stack([states[:, step], np.ones(len(states))])
    ridge = seen[fit].T @ seen[fit] + 1e-3 * np.eye(seen.shape[1])
    weights = np.linalg.solve(ridge, seen[fit].T @ shown[fit])
    left = shown[test] - seen[test] @ weights
    explained[:, step] = 1 - left.var(axis=0) / shown[test].var(axis=0)

figure, axes = plt.subplots(figsize=(6, 2.5))
image = axes.imshow(explained.clip(0, 1), aspect="auto", cmap="viridis", vmin=0, vmax=1)
axes.set(xlabel="step", ylabel="value of the pattern")
figure.colorbar(image, label="variance explained")
plt.close(figure)
figure

# %% [markdown]
# ## Which regions does it need?
#
# Silence a region by cutting all edges from it, and see what that does to the loss. `W` is a SciPy sparse matrix, target by
# source.

# %%
region = network.topology.region


def loss_without(silenced: int) -> float:
    """The loss if nothing that a region's neurons say is heard."""
    keep = region[network.topology.source] != silenced
    heard = np.where(keep, network.values, 0)
    read = np.where(region == silenced, 0, network.W_out)
    lesioned = replace(network, values=heard, W_out=read)
    given = lesioned(trials.inputs)[:, network.task.scored]
    return float(((given - trials.targets) ** 2).mean())


names = cortex.labels or [str(one) for one in range(cortex.size)]
lesions = pd.Series({names[one]: loss_without(one) for one in range(cortex.size)}, name="loss without it")
lesions.sort_values(ascending=False).head(8)

# %% [markdown]
# Is it the regions with the most inputs that count? One number, on one network: a question for a study, not an answer.

# %%
degree = np.bincount(cortex.target, minlength=cortex.size) + np.bincount(cortex.source, minlength=cortex.size)
pd.DataFrame({"lesion": lesions.to_numpy(), "degree": degree}).corr(method="spearman").loc["lesion", "degree"].round(2)

# %% [markdown]
# ## What did learning change?
#
# Training moves the weights on the edges that are there, and no others.

# %%
before = bt.train(wiring, task, epochs=1, network={"learning_rate": 1e-12, "remap": "magnitude"}).networks[0]
moved = np.abs(network.values - before.values)
print("spectral radius before", np.abs(np.linalg.eigvals(before.W.toarray())).max().round(3))
print("spectral radius after ", np.abs(np.linalg.eigvals(network.W.toarray())).max().round(3))
print("median change of a weight", np.median(moved).round(4), "of", np.median(np.abs(before.values)).round(4))

# %% [markdown]
# To keep it, or to go on in PyTorch (where the edges that are not there become trainable zeros, as a warning says):

# %%
network.save("network.npz")
rnn, readout = bt.load_network("network.npz").to_torch()
rnn, readout
