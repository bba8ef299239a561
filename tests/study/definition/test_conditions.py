"""The conditions of a study's YAML and its gain sweep: what they mean, and that every mistake in them is pointed at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.results.documents import Reading
from biotune.study import Study, load_study
from biotune.study.opening import used_conditions
from biotune.study.plans.plans import Plans
from biotune.training import Trial

SETTING = {"learning_rate": 0.01, "nonlinearity": "relu"}


@pytest.fixture
def with_conditions(tmp_path: Path, small_text: str) -> Callable[..., Path]:
    """The small study, whose first line of conditions is line 17, the primary, with further lines."""

    def write(*lines: str, primary: str = "primary: {}", after: str = "") -> Path:
        text = "".join(f"  {line}\n" for line in (primary, *lines))
        file = tmp_path / "space.yaml"
        file.write_text(f"{small_text}conditions:\n{text}{after}")
        return file

    return write


def test_a_study_that_names_none_has_the_primary_alone(small_space: Path) -> None:
    study = load_study(small_space)
    assert list(study.conditions) == [study.primary] == ["primary"]
    assert study.conditions["primary"].replicates == study.config.confirm.replicates


def test_the_first_is_the_primary_whatever_its_name_and_the_sweep_comes_last(
    with_conditions: Callable[..., Path],
) -> None:
    gain = "gain: {scales: [0.5, 1, 2], learning_rates: [1.0e-3, 1.0e-2], replicates: 2}\n"
    study = load_study(with_conditions("partial: {network: {readout: 0.5}}", primary="main:", after=gain))
    assert study.primary == "main"
    assert list(study.conditions) == [
        "main",
        "partial",
        *(f"gain-{scale}-rate-{rate}" for rate in ("0.001", "0.01") for scale in ("0.5", "1", "2")),
    ]
    assert [condition.replicates for condition in study.conditions.values()] == [3, 3, *[2] * 6]
    last = study.conditions["gain-2-rate-0.01"]
    assert last.gain is not None
    assert (last.gain.scale, last.gain.learning_rate) == (2, 0.01)
    assert study.blocks(study.conditions["main"].replicates) == [(0, 1), (2,)]
    assert study.blocks(study.conditions["gain-1-rate-0.01"].replicates) == [(0, 1)]


MISTAKES = {
    "netwrok: {readout: 0.5}": ".netwrok: unknown key 'netwrok'; did you mean 'network'",
    "network: {readuot: 0.5}": ".network.readuot: unknown key 'readuot'; did you mean",
    "network: {readout: 2}": ".network.readout: input should be less than or equal to 1, found",
    "network: {remap: size}": ".network.remap: unknown remapping 'size'",
    "network: {momentum: 0.9}": ".network.momentum: momentum is for RMSprop and SGD, and the optimizer is Adam",
    "network: 3": ".network: ",
    "topology: {target_sparsity: 0}": ".topology.target_sparsity: ",
    "topology: {spectral_radius: 1, frobenius_norm: 3}": ".topology.spectral_radius: ",
    "task: {trials: 1}": ".task.trials: ",
    "task: {pattern_length: 0}": ".task.pattern_length: task seq_mem: pattern_length is 0",
    "task: {patern_length: 3}": ".task.patern_length: unknown option of task seq_mem 'patern_length'",
    "task: {name: seqmem}": ".task.name: unknown task 'seqmem'; did you mean 'seq_mem'",
    "task: {name: 'nowhere.py:Mine'}": ".task.name: ",
    "": ": sets no key of task, topology, network, so it is the primary again",
    "replicates: 2": ": sets no key of task, topology, network",
    "network: {readout: 0.5}, replicates: 1": ".replicates: input should be greater than",
}
"""What a condition sets -> what is said of it, after its name."""


def refusal(file: Path) -> str:
    with pytest.raises(UserError) as refused:
        load_study(file)
    [line] = str(refused.value).splitlines()
    return line


@pytest.mark.parametrize(("keys", "message"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_a_line_with_file_line_and_key(
    with_conditions: Callable[..., Path], keys: str, message: str
) -> None:
    assert f"space.yaml:18: conditions.a{message}" in refusal(with_conditions(f"a: {{{keys}}}"))


def test_two_conditions_that_set_the_same_are_refused(with_conditions: Callable[..., Path]) -> None:
    file = with_conditions("a: {network: {readout: 0.5}}", "b: {network: {readout: 0.5}, replicates: 2}")
    assert "space.yaml:19: conditions.b: a and b set the same" in refusal(file)


def test_a_name_that_no_file_can_have_is_refused(with_conditions: Callable[..., Path]) -> None:
    assert "space.yaml:18: conditions" in refusal(with_conditions("'a b': {network: {readout: 0.5}}"))


@pytest.mark.parametrize("keys", ["network: {readout: 0.5}", "replicates: 2"])
def test_the_primary_has_no_keys(with_conditions: Callable[..., Path], keys: str) -> None:
    key = keys.partition(":")[0]
    with pytest.raises(UserError, match=rf"space.yaml:17: conditions.primary.{key}: the first condition is the prim"):
        load_study(with_conditions(primary=f"primary: {{{keys}}}"))


GAIN_MISTAKES = {
    "{scales: [1, 0.5, 2], learning_rates: [0.001, 0.01]}": "gain.scales: must ascend, and name no value twice",
    "{scales: [1, 1, 2], learning_rates: [0.001, 0.01]}": "gain.scales: must ascend, and name no value twice",
    "{scales: [0.5, 1, 2], learning_rates: [0.01, 0.001]}": "gain.learning_rates: must ascend",
    "{scales: [0.5, 2], learning_rates: [0.001, 0.01]}": "gain.scales: list should have at least 3 items",
    "{scales: [0.5, 1, 2], learning_rates: [0.01]}": "gain.learning_rates: list should have at least 2 items",
    "{scales: [0, 1, 2], learning_rates: [0.001, 0.01]}": "gain.scales.0: input should be greater than 0, found 0",
    "{scales: [0.5, 1, 2]}": "gain.learning_rates: this key is missing",
    "{scale: [0.5, 1, 2], learning_rates: [0.001, 0.01]}": "gain.scale: unknown key 'scale'; did you mean 'scales'",
}


@pytest.mark.parametrize(("gain", "message"), GAIN_MISTAKES.items(), ids=GAIN_MISTAKES)
def test_a_mistake_in_the_gain_sweep_is_a_line(with_conditions: Callable[..., Path], gain: str, message: str) -> None:
    assert f"space.yaml:18: {message}" in refusal(with_conditions(after=f"gain: {gain}\n"))


def test_a_condition_cannot_have_the_name_of_a_part_of_the_sweep(with_conditions: Callable[..., Path]) -> None:
    sweep = "gain: {scales: [0.5, 1, 2], learning_rates: [1.0e-3, 1.0e-2]}\n"
    with pytest.raises(UserError, match=r"18: conditions\.gain-1-rate-0\.01: is the name of a part of the gain sweep"):
        load_study(with_conditions("gain-1-rate-0.01: {network: {readout: 0.5}}", after=sweep))


def test_a_condition_that_does_not_go_with_a_tuned_value_names_that_value(
    with_conditions: Callable[..., Path],
) -> None:
    file = with_conditions("plain: {network: {readout: 0.5}}", "momentum: {network: {momentum: 0.9}}")
    overrides = ["network.optimizer=SGD", "tune.optimizer={choice: [SGD, Adam]}"]
    with pytest.raises(UserError, match=r"19: conditions\.momentum: does not go with .*optimizer 'Adam' in") as refused:
        load_study(file, overrides=overrides)
    assert "momentum is for RMSprop and SGD" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    load_study(file, overrides=["network.optimizer=SGD", "tune.optimizer={choice: [SGD, RMSprop]}"])


def test_a_condition_that_does_not_go_with_an_arm_is_pointed_at_before_the_arm(
    with_conditions: Callable[..., Path],
) -> None:
    file = with_conditions("signed: {network: {remap: signed}}")
    signs = "arms.real.network={signs: 0.2, remap: false}"
    with pytest.raises(UserError, match=r"18.*: conditions\.signed\.network\.remap: signs: 0.2 needs remap: magnitude"):
        load_study(file, overrides=[signs])


class TestTrainedNetworks:
    START = "network.start_from={results: elsewhere}"

    def test_keep_what_they_are_under_every_condition(self, with_conditions: Callable[..., Path]) -> None:
        wrong = ["a: {topology: {target_sparsity: 0.5}}", "b: {network: {readout: 0.5}}", "c: {task: {trials: 30}}"]
        file = with_conditions(*wrong, "d: {network: {learning_rate: 0.1, freeze_recurrent: true}}")
        with pytest.raises(UserError) as refused:
            load_study(file, overrides=[self.START])
        lines = str(refused.value).splitlines()
        assert len(lines) == 3
        for place, line in enumerate(lines):
            assert f"space.yaml:{18 + place}: conditions.{'abc'[place]}." in line
            assert "cannot be changed of trained networks, and arm real starts from some" in line

    def test_have_no_gain_to_sweep(self, with_conditions: Callable[..., Path]) -> None:
        file = with_conditions(after="gain: {scales: [0.5, 1, 2], learning_rates: [1.0e-3, 1.0e-2]}\n")
        with pytest.raises(UserError, match=r"18: gain: cannot be swept of trained networks, and arm real starts"):
            load_study(file, overrides=[self.START])


def test_the_path_of_an_own_task_is_relative_to_the_yaml(
    with_conditions: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom biotune.tasks.seq_mem import SeqMem\n\n"
        "@dataclass(frozen=True)\nclass Mine(SeqMem):\n    pass\n"
    )
    monkeypatch.chdir("/")
    study = load_study(with_conditions("own: {task: {name: 'mine.py:Mine', pattern_length: 4}}"))
    assert study.conditions["own"].task.name == f"{tmp_path}/mine.py:Mine"
    assert study.task_of("own").time == study.task.time + 4
    assert not study.notes


def test_a_condition_has_the_last_word_over_arm_and_tuned_setting(with_conditions: Callable[..., Path]) -> None:
    file = with_conditions(
        "set: {network: {learning_rate: 0.5, remap: false}, topology: {target_sparsity: 0.9, gain: 2}}",
        "other: {network: {weight_decay: 0.1}}",
    )
    own = "arms.real={network: {remap: magnitude, weight_decay: 0.2}, topology: {target_sparsity: 0.5}}"
    plans = Plans.load(load_study(file, overrides=[own]))
    primary, under, other = (plans.plan("real", SETTING, "confirm", [0], name) for name in plans.study.conditions)
    assert (primary.network.learning_rate, primary.network.remap, primary.topology["target_sparsity"]) == (
        0.01,
        "magnitude",
        0.5,
    )
    assert (under.network.learning_rate, under.network.remap, under.topology["target_sparsity"]) == (0.5, None, 0.9)
    assert under.network.nonlinearity == "relu"  # tuned, and the condition says nothing of it
    assert (primary.network.gain, under.network.gain) == (1, 2)
    assert (primary.network.weight_decay, other.network.weight_decay) == (0.2, 0.1)
    assert plans.plan("real", SETTING, "search", [0]) == plans.plan("real", SETTING, "search", [0], "primary")
    assert (
        len({plans.digest("real", SETTING, Reading(condition=name, phase="pair")) for name in plans.study.conditions})
        == 3
    )


@pytest.mark.parametrize(
    ("override", "condition", "expected"),
    [
        ("topology.spectral_radius=0.8", "{frobenius_norm: 3}", (None, 3)),
        ("arms.real.topology={spectral_radius: 0.7}", "{frobenius_norm: 3}", (None, 3)),
        ("tune.spectral_radius={uniform: [0.5, 2]}", "{frobenius_norm: 3}", (None, 3)),
        ("topology.frobenius_norm=6", "{spectral_radius: 1.1}", (1.1, None)),
        ("tune.frobenius_norm={uniform: [2, 9]}", "{spectral_radius: 1.1}", (1.1, None)),
        ("tune.spectral_radius={uniform: [0.5, 2]}", "{spectral_radius: as_it_comes}", (None, None)),
        ("tune.frobenius_norm={uniform: [2, 9]}", "{target_sparsity: 0.5}", (None, 2)),
    ],
)
def test_radius_and_norm_exclude_each_other_under_a_condition(
    with_conditions: Callable[..., Path], override: str, condition: str, expected: tuple[float | None, float | None]
) -> None:
    study = load_study(with_conditions(f"a: {{topology: {condition}}}"), overrides=[override])
    topology = study.conditions["a"].of(study.arms["real"], study.first_setting).topology
    assert (topology.spectral_radius, topology.frobenius_norm) == expected


def test_another_task_has_its_own_null_loss_criterion_and_budget(with_conditions: Callable[..., Path]) -> None:
    study = load_study(
        with_conditions(
            "nback: {task: {name: nback_mem, n_back: 1, trials: 100}}",
            "batches: {task: {batch: 4}}",
            "partial: {network: {readout: 0.5}}",
        )
    )
    used = used_conditions(study, {name: [] for name in study.conditions})
    assert used["nback"].criterion.null_loss == pytest.approx(np.log(2))
    for name, condition in used.items():
        assert condition.criterion.level == pytest.approx(0.1 * condition.criterion.null_loss)
        assert condition.budget == 6 * condition.updates_per_epoch
        assert study.updates_per_epoch(name) == condition.updates_per_epoch
    assert {name: one.updates_per_epoch for name, one in used.items()} == {
        "primary": 3,  # 48 of 60 trials, 16 an update
        "nback": 5,
        "batches": 12,
        "partial": 3,
    }
    assert used["batches"].criterion == used["partial"].criterion == used["primary"].criterion
    assert "pattern_length" not in study.conditions["nback"].task.options


SAME = """
  shuffled: {null: {name: weights_shuffled, level: region}}
  slow: {network: {weight_decay: 0.1}}
  copy: {}"""


class TestSameNetworks:
    @staticmethod
    def plans(file: Path, *overrides: str) -> Plans:
        file.write_text(file.read_text().replace("\n  rewired:", f"{SAME}\n  rewired:"))
        return Plans.load(load_study(file, overrides=overrides))

    def test_are_those_that_begin_with_one_matrix_and_are_trained_alike(
        self, with_conditions: Callable[..., Path]
    ) -> None:
        off, magnitude = "off: {network: {remap: false}}", "magnitude: {network: {remap: magnitude}}"
        plans = self.plans(with_conditions(off, magnitude, "decay: {network: {remap: false, weight_decay: 0.1}}"))
        assert plans.same == {
            "primary": ["copy"],
            "off": ["shuffled", "copy"],
            "magnitude": ["copy"],
            "decay": ["shuffled", "slow", "copy"],  # what set `slow` apart is overridden
        }

        def values(condition: str, arm: str) -> np.ndarray:
            return Trial(plans.plan(arm, SETTING, "confirm", [1], condition)).initial_values

        np.testing.assert_array_equal(values("off", "shuffled"), values("off", "real"))
        assert not np.array_equal(values("magnitude", "shuffled"), values("magnitude", "real"))

    def test_are_so_at_every_remapping_that_is_tuned(self, with_conditions: Callable[..., Path]) -> None:
        tuned = "tune.remap={choice: [false, magnitude]}"
        plans = self.plans(with_conditions("off: {network: {remap: false}}", "p: {network: {readout: 0.5}}"), tuned)
        assert plans.same == {"primary": ["copy"], "off": ["shuffled", "copy"], "p": ["copy"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("network: {readout: 0.001}", r"network\.readout: 0\.001 of \d+ neurons comes to none"),
        ("topology: {neurons_per_region: 100000}", r"needs about .* of memory, and this machine has .* neurons"),
        ("task: {trials: 1000000000}", r"needs about .* of memory, and this machine has .*; lower task\.trials"),
        ("topology: {neurons_per_region: 1, draw: 1}", r"topology\.draw: 1 gives the same topology as 0"),
    ],
)
def test_networks_that_cannot_be_made_under_a_condition_name_it_before_anything_is_trained(
    with_conditions: Callable[..., Path], changes: str, message: str
) -> None:
    study = load_study(with_conditions(f"a: {{{changes}}}"))
    with pytest.raises(UserError, match=rf"^condition a, arm real.*: {message}"):
        Plans.load(study)


KEYS: dict[str, dict[str, list[Any]]] = {
    "task": {"pattern_length": [1, 3], "trials": [40], "batch": [8]},
    "topology": {"target_sparsity": [0.3, 1.0], "spectral_radius": [1.2, "as_it_comes"], "gain": [0.5, 2.0]},
    "network": {"remap": [False, True, "magnitude"], "readout": [0.5], "learning_rate": [0.1], "optimizer": ["SGD"]},
}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """Conditions that differ, each with some keys of some sections."""
    some = draw(
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    section: st.fixed_dictionaries(
                        {}, optional={key: st.sampled_from(values) for key, values in keys.items()}
                    ).filter(bool)
                    for section, keys in KEYS.items()
                },
            ).filter(bool),
            unique_by=lambda changes: yaml.safe_dump(changes),
            max_size=4,
        )
    )
    named = {f"condition-{place}": changes for place, changes in enumerate(some)}
    for changes in named.values():
        if draw(st.booleans()):
            changes["replicates"] = draw(st.integers(2, 3))
    return {"primary": {}, **named}


def same_study(one: Study, other: Study) -> bool:
    return (one.resolved(), one.arms, one.conditions) == (other.resolved(), other.arms, other.conditions)


@given(conditions=conditions(), swept=st.booleans(), replicates=st.none() | st.integers(2, 3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_study_yaml_read_again_gives_the_same_study(
    small_text: str, tmp_path: Path, conditions: dict[str, Any], swept: bool, replicates: int | None
) -> None:
    content = yaml.safe_load(small_text) | {"conditions": conditions}
    if swept:
        content["gain"] = {"scales": [0.5, 1, 2], "learning_rates": [0.001, 0.01], "replicates": replicates}
    file, again = tmp_path / "space.yaml", tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    study = load_study(file)
    assert list(study.conditions)[: len(conditions)] == list(conditions)
    again.write_text(yaml.safe_dump(study.resolved(), sort_keys=False))
    assert same_study(load_study(again), study)
    assert load_study(again).digest == study.digest
