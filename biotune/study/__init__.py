"""A study: from its YAML to results on disk. The only part of biotune that knows Ray and Optuna."""

import biotune.study.ray_settings  # noqa: F401  # first of all
from biotune.study.study import Study, load_study

__all__ = ["Study", "load_study"]
