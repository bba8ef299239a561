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
# # Coming from conn2res
#
# conn2res ([Suárez et al. 2024](https://doi.org/10.1038/s41467-024-44900-4)) asks what a connectome computes as a
# *reservoir*: its recurrent weights stay as they are, and a linear readout is fitted to the states. biotune asks how fast a
# network on the connectome *learns*: recurrent weights are trained, on the edges that are there.
#
# | conn2res | biotune |
# |---|---|
# | a connectome, scaled to a spectral radius, is the reservoir | the same, expanded to several neurons per region; `neurons_per_region=1` for the same size |
# | recurrent weights fixed | trained; `freeze_recurrent: true` fixes them |
# | readout by ridge regression on all time steps | readout trained by gradient descent with everything else |
# | input nodes and output nodes chosen by hand | inputs reach all neurons; `readout: 0.4` reads a share, drawn at random |
# | tasks from NeuroGym, ReservoirPy | four memory tasks, or [your own file](own_task.py) |
# | null networks by hand, performance curves over alpha | nulls in the study, paired seeds, an interval and a margin; a sweep over scales (`gain:`) |
# | score at the end | updates to criterion, and the loss at the end |

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import biotune as bt

cortex = bt.load_connectome("marmoset", otherwise="distance_rule")
generator = np.random.default_rng(1)

# %% [markdown]
# ## The reservoir, as conn2res has it
#
# One neuron per region, weights as in the data, scaled; random input weights; tanh; ridge regression. Memory capacity: how
# much of the input from *k* steps ago a readout recovers.

# %%
STEPS, WASHOUT, LAGS = 2000, 100, np.arange(1, 16)
signal = generator.uniform(-1, 1, STEPS)
input_weights = generator.uniform(-1, 1, cortex.size)


def memory_capacity(wiring: bt.Connectome, alpha: float) -> np.ndarray:
    """The share of the variance of each lag that ridge regression recovers, [lags]."""
    matrix = wiring.matrix()
    matrix *= alpha / np.abs(np.linalg.eigvals(matrix)).max()
    states, state = np.zeros((STEPS, wiring.size)), np.zeros(wiring.size)
    for step in range(STEPS):
        state = np.tanh(matrix @ state + input_weights * signal[step])
        states[step] = state
    fit, test = slice(WASHOUT, 1400), slice(1400, STEPS)
    found = []
    for lag in LAGS:
        target = np.roll(signal, lag)
        ridge = states[fit].T @ states[fit] + 1e-6 * np.eye(wiring.size)
        guess = states[test] @ np.linalg.solve(ridge, states[fit].T @ target[fit])
        found.append(np.corrcoef(guess, target[test])[0, 1] ** 2)
    return np.array(found)


alphas = np.linspace(0.2, 1.4, 7)
null = bt.rewire(cortex, "degree_preserving", rng=1)
capacity = pd.DataFrame(
    {
        name: [memory_capacity(one, alpha).sum() for alpha in alphas]
        for name, one in (("cortex", cortex), ("null", null))
    },
    index=pd.Index(alphas.round(2), name="alpha"),
)
capacity.round(2)

# %% [markdown]
# ## The same wiring, trained
#
# With recurrent weights frozen, only input and readout are trained: the nearest thing to a reservoir that gradient descent
# has. Then everything is trained.

# %%
wiring = bt.expand(cortex, neurons_per_region=2, rng=1)
task = {"name": "seq_mem", "pattern_length": 4, "trials": 400, "batch": 40}
curves = {}
for name, frozen in (("reservoir", True), ("trained", False)):
    options = {"freeze_recurrent": frozen, "learning_rate": 5e-3, "remap": "magnitude"}
    curves[name] = bt.train([wiring], task, epochs=40, network=options).curves

figure, axes = plt.subplots(figsize=(6, 3))
for name, curve in curves.items():
    axes.semilogy(curve["updates"], curve["validation_loss"], label=name)
axes.set(xlabel="updates", ylabel="validation loss")
axes.legend()
plt.close(figure)
figure

# %% [markdown]
# ## As a study
#
# `freeze_recurrent` is a key of `network`, so it can be a *condition*: the same arms, trained and as reservoirs, side by
# side, with the intervals that hold together over both.
#
# ```yaml
# conditions:
#   primary: {}
#   reservoir: {network: {freeze_recurrent: true}}
# ```
#
# `alpha` is `topology.spectral_radius`; a sweep over it is the section `gain` ([conditions](../conditions.md)).
