"""A study: from its YAML to results on disk. The only part of biotune that knows Ray and Optuna."""

import biotune.study.ray_internals  # noqa: F401  # before anything imports Ray
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study

__all__ = ["Study", "load_study"]
