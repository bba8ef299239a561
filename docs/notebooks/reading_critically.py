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
# # Reading a report critically
#
# A report says *faster*, *equivalent* or *undecided*. Here you compute its main number yourself from the tables, and then
# ask what a careful reader asks: which choices is it conditional on, how many pairs is it based on, and what could this
# study never have shown?

# %%
import tempfile

import numpy as np
import pandas as pd
from scipy import stats

import biotune as bt

# %% [markdown]
# A small study to read: the connectome, one null, and one further *condition*, under which initial weights don't follow the
# connectome's weights. Two neurons per region and a pattern of four, so that it takes a minute.

# %%
small = {
    "task": {"name": "seq_mem", "pattern_length": 4, "trials": 200, "batch": 40},
    "topology.neurons_per_region": 2,
    "conditions": {"primary": {}, "off": {"network": {"remap": False}}},
    "search": {"trials_per_arm": 4, "shared_settings": 4, "replicates": 2, "max_epochs": 12},
    "confirm": {"replicates": 10, "max_epochs": 40},
}
study = bt.Study.example("seq_mem", small, arms=["degrees"])
results = study.run(tempfile.mkdtemp())
results

# %% [markdown]
# ## 1. The number itself
#
# Replicate *r* of both arms shares its data, its input weights and its initial values. So they are compared in pairs: the
# ratio is the geometric mean over pairs, and its interval a t interval on the log ratios.

# %%
rows = results.table("convergence").query("phase == 'pair' and condition == 'primary'")
pairs = rows.pivot(index="replicate", columns="arm", values="updates")
log_ratio = np.log(pairs["degrees"] / pairs["marmoset"])
mean, error = log_ratio.mean(), log_ratio.std() / np.sqrt(len(log_ratio))
width = stats.t.ppf(0.975, len(log_ratio) - 1) * error
by_hand = np.exp([mean, mean - width, mean + width])
reported = results.verdicts.loc["degrees", ["ratio", "low", "high"]].to_numpy(float)
print("by hand ", by_hand.round(3))
print("reported", reported.round(3))
assert np.allclose(by_hand, reported)

# %% [markdown]
# ## 2. Did everybody meet the criterion?
#
# A network that didn't counts with the budget, which is less than what it would have needed. If many of the *faster* side
# are censored so, the ratio means nothing, and the report says *not comparable*.

# %%
rows.groupby("arm")[["converged", "diverged"]].mean()

# %% [markdown]
# ## 3. Is one pair the whole effect?
#
# Leave out each pair in turn. If the sign of the mean changes, the study is too small for its own claim.

# %%
without = pd.Series({pair: np.exp(log_ratio.drop(pair).mean()) for pair in log_ratio.index}, name="ratio without it")
without.describe()[["min", "max"]]

# %% [markdown]
# ## 4. Which choice makes it so?
#
# The same networks under another condition. If the ratio moves across 1, the finding is about the condition, not about the
# wiring. That is what the first figure of a report shows: all arms under all conditions.

# %%
results.figures["specification_curve"]

# %% [markdown]
# ## 5. What could it have shown?
#
# "Undecided" is a statement about the study, not about the brain. With this spread between pairs, a ratio has to be as far
# from 1 as this to be found four times in five:

# %%
spread = log_ratio.std()
pairs_needed = {
    n: np.exp(spread / np.sqrt(n) * (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1))) for n in (10, 16, 32, 64)
}
pd.Series(pairs_needed, name="smallest ratio that is found").round(2)

# %% [markdown]
# The report has this under *What limits this*, with the number of pairs that would decide. `biotune extend` trains them, at
# looks that were planned before, so that looking again isn't a second lottery ticket
# ([how it is paid for](../validation.md#planned-looks)).
#
# ## A reader's list
#
# - Which null? What it keeps, it doesn't test.
# - One setting for both, or each at its best? A claim needs both.
# - Which conditions reverse it?
# - Were the pairs, the margin and the looks fixed beforehand? They are in `study.yaml`, with its digest in `state.json`.
# - Was the connectome a substitute? Then there is a banner, and no finding.
