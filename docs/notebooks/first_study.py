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
# # Your first study
#
# Does a marmoset's cortical wiring learn to replay a sequence faster than its rewired versions do? This notebook runs the
# study that comes with biotune, cut down to a first look that takes about a minute.

# %%
import tempfile

import biotune as bt

results_folder = tempfile.mkdtemp()

# %% [markdown]
# A study is a YAML file. `quick=True` cuts it down, and says to what: such a result shows that everything works, and
# nothing about brains.

# %%
study = bt.Study.example("seq_mem", quick=True)
print(*study.notes, sep="\n")
study

# %% [markdown]
# Each **arm** is one way of wiring. `marmoset` is the connectome as it is; the others are nulls, which rewire it and keep
# some of its properties:

# %%
for arm, content in study.to_dict()["arms"].items():
    print(arm, content.get("null", "as it is"))

# %% [markdown]
# ## Run it
#
# Ray Tune searches each arm's learning rate; then all arms are trained again with new seeds and new data, and compared.
# Stop the cell at any time: nothing is lost, and `bt.Study.resume(directory)` goes on.

# %%
results = study.run(results_folder)

# %% [markdown]
# ## What came out

# %%
results

# %% [markdown]
# A ratio is an arm's updates to criterion over the reference arm's, as a geometric mean over pairs of networks that share
# everything but their wiring. Below 1 is faster. With four pairs the intervals are wide, and the claim is *undecided*, as it
# should be.

# %%
results.verdicts

# %%
results.figures["ratios"]

# %% [markdown]
# Every number is in a table, and every trained network can be had:

# %%
results.curves(arm="marmoset").tail(3)

# %%
network = results.network("marmoset", replicate=3)
network, network.W.shape, network.labels[:4]

# %% [markdown]
# ## And now in full
#
# Without `quick`, the same study takes about five minutes on two cores. `study.estimate()` says how long, how much memory,
# and which differences it can show, before you start. In the terminal it is `biotune run seq_mem`.
