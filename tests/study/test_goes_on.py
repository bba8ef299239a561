"""What a study that goes on must find as it was: NumPy's generators, and what its task shows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from biotune import seeds
from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Streams
from biotune.study import load_study
from biotune.study.directory import resume
from biotune.tasks import encoder, task_digest

LATENT = """name: latent
task: {name: pic_latent_mem}
connectome: {name: "distance_rule:marmoset"}
arms: {real: {}}
reference_arm: real
tune: {learning_rate: {loguniform: [1.0e-3, 1.0e-2]}}
search: {trials_per_arm: 2, shared_settings: 1, replicates: 1, max_epochs: 3, grace: 1}
confirm: {replicates: 4, max_epochs: 3}
"""


@pytest.fixture
def started(tmp_path: Path, begin_results: Callable[..., Results]) -> Results:
    """The state that a study of pictures began with."""
    streams = Streams(sha256=seeds.streams_digest(), numpy="1.0.0")
    task = task_digest("pic_latent_mem")
    return begin_results(tmp_path / "latent", {"name": "latent"}, streams=streams, task_sha256=task)


def test_a_study_goes_on_where_numpy_draws_the_same(started: Results) -> None:
    resume.require_same_streams(started)


def test_a_numpy_that_draws_otherwise_is_refused_with_both_versions(
    started: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_another_order(generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(16)[::-1]

    monkeypatch.setattr(seeds, "_DRAWS", (*seeds._DRAWS[:-1], in_another_order))
    seeds.streams_digest.cache_clear()
    with pytest.raises(UserError, match=rf"started with NumPy 1\.0\.0, .* than those of NumPy {np.__version__} here"):
        resume.require_same_streams(started)
    seeds.streams_digest.cache_clear()


def test_another_encoder_of_pictures_is_refused(
    started: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "latent.yaml"
    file.write_text(LATENT)
    study = load_study(file)
    resume.require_same_task(started, study)
    monkeypatch.setattr(encoder, "SHIPPED", tmp_path)
    monkeypatch.setattr(encoder, "UPDATES", 2)
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    encoder.trained_encoder.cache_clear()
    with pytest.raises(UserError, match=r"what task pic_latent_mem shows has changed since the study was started"):
        resume.require_same_task(started, study)
    encoder.trained_encoder.cache_clear()
