"""What a study that goes on must find as it was: NumPy's generators, what its task shows, its connectomes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from biotune import seeds
from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Streams, UsedConnectome
from biotune.study import load_study
from biotune.study.directory import resume
from biotune.study.opening import resumed_plans, used_connectomes
from biotune.study.plans.plans import Plans, load_connectomes
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

SEQUENCE = """name: own
connectome: {path: FILE}
arms: {real: {}, again: {null: {name: weights_shuffled}}}
reference_arm: real
tune: {learning_rate: {loguniform: [1.0e-3, 1.0e-2]}}
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


class TestAConnectomeOfOnesOwn:
    EDGES = "source,target,weight\na,b,1\nb,c,2\nc,a,3\n"

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "mine.csv").write_text(self.EDGES)
        return tmp_path / "mine.csv"

    @pytest.fixture
    def resumed(self, tmp_path: Path, file: Path, begin_results: Callable[..., Results]) -> Callable[[], object]:
        """Resumes a study that was started with the file as it is now."""
        space = tmp_path / "own.yaml"
        space.write_text(SEQUENCE.replace("FILE", str(file)))
        study = load_study(space)
        plans = Plans.load(study)
        streams = Streams(sha256=seeds.streams_digest(), numpy=np.__version__)
        started = begin_results(
            tmp_path / "own",
            {"name": "own"},
            streams=streams,
            connectomes=used_connectomes(plans),
            topologies=dict(plans.topologies),
        )
        return lambda: resumed_plans(started, study)

    def test_has_the_names_of_its_regions_in_the_results(self, tmp_path: Path, file: Path) -> None:
        space = tmp_path / "own.yaml"
        space.write_text(SEQUENCE.replace("FILE", str(file)))
        assert used_connectomes(Plans.load(load_study(space)))["again"].regions == ["a", "b", "c"]
        ends = range(201)
        file.write_text("source,target,weight\n" + "".join(f"r{n},r{(n + 1) % 201},1\n" for n in ends))
        assert used_connectomes(Plans.load(load_study(space)))["again"].regions is None  # too many to show

    def test_may_be_written_anew(self, file: Path, resumed: Callable[[], object]) -> None:
        resumed()
        file.write_text(self.EDGES.replace(",1", ",1.0"))
        resumed()

    @pytest.mark.parametrize("content", [EDGES.replace(",1", ",7"), "source,target,weight\n", EDGES[:30], ""])
    def test_that_changed_is_named_with_its_digests(
        self, file: Path, resumed: Callable[[], object], content: str
    ) -> None:
        file.write_text(content)
        before, now = (hashlib.sha256(text.encode()).hexdigest() for text in (self.EDGES, content))
        with pytest.raises(UserError) as error:
            resumed()
        [line] = str(error.value).splitlines()  # once, though both arms have it
        assert f"{file} (arm real) has changed since the study was started" in line
        assert f"its SHA-256 was {before} and is {now}; put it back as it was, or start the study anew" in line

    def test_that_is_gone_is_named(self, file: Path, resumed: Callable[[], object]) -> None:
        file.unlink()
        with pytest.raises(
            UserError, match=r"mine\.csv \(arm real\) is not there; .* SHA-256 [0-9a-f]{64}; put it back"
        ):
            resumed()


def test_a_connectome_of_the_catalogue_is_looked_for_where_it_was(
    tmp_path: Path, begin_results: Callable[..., Results]
) -> None:
    space = tmp_path / "sequence.yaml"
    space.write_text(SEQUENCE.replace("path: FILE", "name: 'distance_rule:marmoset'"))
    study = load_study(space)
    connectomes = load_connectomes(study)
    before = UsedConnectome(
        name="marmoset", asked="marmoset", substituted=False, reason=None, citation="", kind="BIOTUNE_DATA",
        sha256="0", species="", digest="0", notes=[],
    )  # fmt: skip
    started = begin_results(tmp_path / "own", {"name": "own"}, connectomes={"real": before})
    with pytest.raises(UserError, match=r"arm real .* marmoset \(BIOTUNE_DATA\), now .*; set BIOTUNE_DATA as it was"):
        resume.require_same_connectomes(started, study, connectomes)
