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
# # Your own connectome
#
# From a file to a verdict. Any of these will do: a matrix or an edge list as CSV, TSV, NPY, NPZ, MAT, Parquet, GraphML, …
# ([all of them](../connectomes.md)). Here a small matrix is made up, so that the notebook runs anywhere: put your file's
# path in its place.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import biotune as bt

folder = Path(tempfile.mkdtemp())
generator = np.random.default_rng(1)
regions = [f"area {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWX"]
place = generator.random((len(regions), 2))
distance = np.linalg.norm(place[:, None] - place[None], axis=2)
strength = np.exp(-4 * distance) * generator.lognormal(size=distance.shape)
strength[generator.random(distance.shape) > 1.6 * np.exp(-2 * distance)] = 0
np.fill_diagonal(strength, 0)
file = folder / "my_cortex.csv"
pd.DataFrame(strength, index=regions, columns=regions).round(4).to_csv(file)

# %% [markdown]
# ## Look at what was read
#
# The one mistake that nothing reports is a matrix the wrong way round: a matrix is taken as `[source, target]`, rows send
# and columns receive. If yours is stored as `[target, source]`, say `transposed=True`.

# %%
cortex = bt.load_connectome("my_cortex", path=file)
print(cortex, cortex.labels[:3])
strongest = np.argsort(cortex.weight)[::-1][:5]
for edge in strongest:
    print(cortex.labels[cortex.source[edge]], "->", cortex.labels[cortex.target[edge]], cortex.weight[edge])

# %% [markdown]
# ## How it differs from its nulls, before anything is trained
#
# A null keeps some properties and destroys the others. What it keeps, it doesn't test.

# %%
nulls = ["weights_shuffled", "degree_preserving", "erdos_renyi"]
measured = {"my_cortex": bt.measure(cortex)}
measured |= {null: bt.measure(bt.rewire(cortex, null, rng=1)) for null in nulls}
pd.DataFrame(measured).loc[["density", "reciprocity", "clustering", "modularity", "in_degree_sd", "spectral_radius"]]

# %% [markdown]
# ## A study of it
#
# `biotune new` writes one, with a comment for every key; here it is called as in a terminal.

# %%
study_file = folder / "mine.yaml"
# !biotune new {study_file} --connectome {file}
print("\n".join(study_file.read_text().splitlines()[:24]))

# %% [markdown]
# Before you believe a study, ask what it could show at all: `bt.Study.read(study_file).estimate()` says which ratios its
# pairs can tell apart. The first look is quick, with four pairs:

# %%
study = bt.Study.read(study_file, quick=True)
results = study.run(folder / "results")
results

# %%
results.figures["ratios"]

# %% [markdown]
# For the verdict that counts, leave out `quick`: 16 pairs, also under five further conditions, in about five minutes. If it ends as
# *undecided*, the report says how many more pairs would decide, and `biotune extend` trains them.
#
# The page with everything, to print or to send:

# %%
results.path / "report" / "index.html"
