"""A study's YAML: what it means, and that every mistake in it is pointed at."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.definition.config import StudyConfig
from biotune.study.definition.load import QUICK
from biotune.study.definition.study import with_setting
from biotune.study.plans.plans import Plans
from biotune.study.search.sampler import sobol_settings
from biotune.training import Trial

WriteSpace = Callable[..., Path]


def test_every_default_is_written_out_and_reads_back_as_the_same_study(small_space: Path, tmp_path: Path) -> None:
    study = load_study(small_space)
    resolved = study.resolved()
    assert resolved["topology"]["intrinsic_weight"] == 0.8
    null = {"name": "degree_preserving", "level": "neuron", "weights": "carried", "fraction": 1.0}
    assert resolved["arms"] == {"real": {}, "rewired": {"null": null}}
    assert resolved["criterion"] == {"metric": "validation_loss", "fraction_of_null": 0.1, "sustain": 3}
    assert resolved["description"] == "Is a small study run from end to end?"
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(resolved))
    assert load_study(again).resolved() == resolved


def test_an_arm_with_a_connectome_of_its_own_leaves_the_studys_file(write_space: WriteSpace, tmp_path: Path) -> None:
    file = "{path: mine.csv, columns: {weight: n}, otherwise: distance_rule}"
    study = load_study(
        write_space(
            ('{name: "distance_rule:mouse_gamanut"}', file),
            ("  real: {}", "  real: {connectome: {name: macaque}}\n  signed: {connectome: {signed: true}}"),
        )
    )
    real, signed, rewired = (study.arms[name].connectome for name in ("real", "signed", "rewired"))
    assert (real.name, real.path, real.options, real.otherwise) == ("macaque", None, {}, "distance_rule")
    assert (rewired.name, rewired.path) == ("mine", str(tmp_path / "mine.csv"))
    assert rewired.options == {"columns": {"weight": "n"}}
    assert signed.options == {"columns": {"weight": "n"}, "signed": True}


def test_an_arm_overrides_what_it_names_and_keeps_the_rest(write_space: WriteSpace) -> None:
    study = load_study(write_space(("  real: {}", "  real: {topology: {spectral_radius: as_it_comes}}")))
    assert study.arms["real"].topology.spectral_radius is None
    assert study.arms["real"].topology.neurons_per_region == 2
    assert study.arms["rewired"].topology.spectral_radius == 0.9


def scaled_to(file: Path, arm: str, *overrides: str) -> tuple[float | None, float | None]:
    """Radius and norm of an arm's first trial."""
    study = load_study(file, overrides=overrides)
    topology = with_setting(study.arms[arm].topology, study.first_setting)
    return topology.spectral_radius, topology.frobenius_norm


NORM, RADIUS = "topology.frobenius_norm=5.9", "topology.spectral_radius=0.8"
OWN_NORM, OWN_RADIUS = "arms.real.topology={frobenius_norm: 3}", "arms.real.topology={spectral_radius: 0.7}"
NEITHER = "arms.real.topology={spectral_radius: as_it_comes}"
TUNED_NORM, TUNED_RADIUS = "tune.frobenius_norm={uniform: [2, 9]}", "tune.spectral_radius={uniform: [0.5, 2]}"


@pytest.mark.parametrize(
    ("overrides", "real", "rewired"),
    [
        ((), (0.9, None), (0.9, None)),
        ((NORM,), (None, 5.9), (None, 5.9)),
        ((NORM, "topology.spectral_radius=as_it_comes"), (None, 5.9), (None, 5.9)),
        ((RADIUS, "topology.frobenius_norm=as_it_comes"), (0.8, None), (0.8, None)),
        (("topology.frobenius_norm=as_it_comes",), (None, None), (None, None)),
        ((OWN_NORM,), (None, 3), (0.9, None)),
        ((RADIUS, OWN_NORM), (None, 3), (0.8, None)),
        ((NORM, OWN_NORM), (None, 3), (None, 5.9)),
        ((NORM, OWN_RADIUS), (0.7, None), (None, 5.9)),
        ((NORM, NEITHER), (None, None), (None, 5.9)),
        ((NORM, "arms.real.topology={target_sparsity: 0.5}"), (None, 5.9), (None, 5.9)),
        ((TUNED_NORM,), (None, 2), (None, 2)),
        ((RADIUS, TUNED_NORM), (None, 2), (None, 2)),
        ((NORM, TUNED_RADIUS), (0.5, None), (0.5, None)),
        ((RADIUS, "tune.frobenius_norm={choice: [as_it_comes, 5.9]}"), (None, None), (None, None)),
    ],
)
def test_writing_one_of_radius_and_norm_unsets_the_other(
    small_space: Path,
    tmp_path: Path,
    overrides: tuple[str, ...],
    real: tuple[float | None, float | None],
    rewired: tuple[float | None, float | None],
) -> None:
    assert scaled_to(small_space, "real", *overrides) == real
    assert scaled_to(small_space, "rewired", *overrides) == rewired
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(load_study(small_space, overrides=overrides).resolved()))
    assert (scaled_to(again, "real"), scaled_to(again, "rewired")) == (real, rewired)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            (NORM, RADIUS),
            "--set topology.frobenius_norm: topology.spectral_radius: spectral_radius and frobenius_norm would each "
            "scale the initial recurrent matrix; give one of them",
        ),
        (
            ("arms.real.topology={frobenius_norm: 3, spectral_radius: 1}",),
            "arms.real.topology.spectral_radius: spectral_radius and frobenius_norm would each",
        ),
        (("topology.frobenius_norm=0",), "topology.frobenius_norm: input should be greater than 0, found 0"),
        (("topology.frobenius_norm=large",), "topology.frobenius_norm: "),
        ((TUNED_NORM, TUNED_RADIUS), "spectral_radius 0.5, frobenius_norm 2.0 cannot be combined"),
        ((TUNED_NORM, OWN_NORM), "arms.real.topology.frobenius_norm: is tuned, so an arm cannot set it"),
        (
            (TUNED_NORM, OWN_RADIUS),
            "arms.real.topology.spectral_radius: frobenius_norm is tuned in its place, so an arm",
        ),
        (
            (TUNED_RADIUS, OWN_NORM),
            "arms.real.topology.frobenius_norm: spectral_radius is tuned in its place, so an arm",
        ),
        (("tune.frobenius_norm={uniform: [0, 9]}",), "tune.frobenius_norm: 0.0 is not allowed"),
        (("tune.frobenius_norm={uniform: [9, 2]}",), "tune.frobenius_norm.uniform: uniform must be [low, high]"),
    ],
)
def test_what_radius_and_norm_cannot_be_is_a_line_that_names_them(
    small_space: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        load_study(small_space, overrides=overrides)
    assert len(str(refused.value).splitlines()) == 1


def test_the_networks_of_an_arm_have_the_norm_that_it_sets(small_space: Path) -> None:
    plans = Plans.load(load_study(small_space, overrides=[OWN_NORM]))
    real, rewired = (
        np.linalg.norm(Trial(plans.plan(arm, {}, "confirm", [0, 1])).initial_values, axis=1)
        for arm in ("real", "rewired")
    )
    assert real == pytest.approx([3, 3])
    assert rewired != pytest.approx([3, 3])


def test_a_null_key_names_a_null_and_is_not_the_value_null(small_space: Path) -> None:
    null = load_study(small_space).arms["rewired"].null
    assert null is not None
    assert null.name == "degree_preserving"


def test_numbers_without_a_dot_are_numbers(write_space: WriteSpace) -> None:
    study = load_study(write_space(("[1.0e-3, 1.0e-1]", "[1e-3, 1e-1]")))
    assert study.config.tune["learning_rate"].loguniform == [0.001, 0.1]


def test_overrides_seed_and_arms(small_space: Path) -> None:
    study = load_study(
        small_space,
        overrides=["search.trials_per_arm=7", "arms.third.null={name: erdos_renyi, level: neuron}"],
        seed=99,
        arms=["third"],
    )
    assert study.config.search.trials_per_arm == 7
    assert study.config.seed == 99
    assert list(study.arms) == ["real", "third"]


GRID = (
    ("loguniform: [1.0e-3, 1.0e-1]", "choice: [1.0e-3, 1.0e-2, 1.0e-1]"),
    ("trials_per_arm: 5, shared_settings: 2,", "sampler: grid,"),
)


def test_a_whole_number_is_drawn_from_its_range(write_space: WriteSpace) -> None:
    domain = "nonlinearity: {choice: [tanh, relu]}"
    study = load_study(write_space((domain, "neurons_per_region: {int: [1, 3]}")))
    drawn = [setting["neurons_per_region"] for setting in sobol_settings(study.config.tune, 32, seed=1)]
    assert set(drawn) == {1, 2, 3}
    assert all(type(value) is int for value in drawn)


def test_values_that_are_allowed_alone_but_not_together_are_refused(write_space: WriteSpace) -> None:
    together = "optimizer: {choice: [Adam, SGD]}\n  momentum: {choice: [0.0, 0.9]}"
    with pytest.raises(
        UserError,
        match=r"space.yaml:\d+: tune\.momentum: momentum 0.9, optimizer 'Adam' cannot be combined .momentum is for",
    ):
        load_study(write_space(("nonlinearity: {choice: [tanh, relu]}", together)))
    load_study(write_space(("nonlinearity: {choice: [tanh, relu]}", together.replace("Adam", "RMSprop"))))


def test_a_grid_has_as_many_trials_as_combinations(write_space: WriteSpace, tmp_path: Path) -> None:
    study = load_study(write_space(*GRID))
    assert (study.config.search.trials_per_arm, study.config.search.shared_settings) == (6, 6)
    again = tmp_path / "study.yaml"
    again.write_text(yaml.safe_dump(study.resolved()))
    assert load_study(again).resolved() == study.resolved()


@pytest.mark.parametrize("key", ["trials_per_arm", "shared_settings"])
def test_a_grid_of_another_size_than_its_combinations_is_refused(write_space: WriteSpace, key: str) -> None:
    expected = (
        rf"space\.yaml:14: search\.{key}: sampler grid tries each of the 6 combinations .* {key} is 5; leave it out"
    )
    with pytest.raises(UserError, match=expected):
        load_study(write_space(*GRID, ("sampler: grid", f"sampler: grid, {key}: 5")))


MISTAKES = [
    ("reference_arm: real", "reference_arm: reel", r"space\.yaml:10: reference_arm: .*did you mean 'real'"),
    ("seed: 3", "sede: 3", r"space\.yaml:3: sede: unknown key 'sede'; did you mean 'seed'"),
    ("batch: 16", "batch: 16, patern_length: 2", r"space\.yaml:4: .*did you mean 'pattern_length'"),
    ("name: seq_mem", "name: seqmem", r"space\.yaml:4: task\.name: unknown task 'seqmem'; did you mean 'seq_mem'"),
    ("neurons_per_region: 2", "neurons_per_region: 0", r"space\.yaml:6: topology\.neurons_per_region: .*found 0"),
    ("neurons_per_region: 2", "neuron_per_region: 2", r"did you mean 'neurons_per_region'"),
    ("degree_preserving", "degrees", r"space\.yaml:9: arms\.rewired\.null\.name: unknown null 'degrees'"),
    ("real: {}", "real: {topology: {target_sparsity: 2}}", r"space\.yaml:8: arms\.real\.topology\.target_sparsity"),
    (
        "real: {}",
        "real: {network: {learning_rate: 0.1}}",
        r"space\.yaml:8: .*learning_rate: is tuned, so an arm cannot",
    ),
    ("[1.0e-3, 1.0e-1]", "[1.0e-1, 1.0e-3]", r"space\.yaml:12: tune\.learning_rate\.loguniform: .*low below high"),
    ("[1.0e-3, 1.0e-1]", "[0, 1]", r"space\.yaml:12: .*must start above 0"),
    ("loguniform: [1.0e-3, 1.0e-1]", "loguniform: [1, 2], uniform: [1, 2]", r"exactly one of"),
    ("choice: [tanh, relu]", "choice: [tanh, gelu]", r"space\.yaml:13: tune\.nonlinearity: 'gelu' is not allowed"),
    ("choice: [tanh, relu]", "choice: []", r"space\.yaml:13: .*choice is empty"),
    ("  nonlinearity:", "  nonlinear:", r"cannot tune 'nonlinear'; did you mean 'nonlinearity'"),
    ("real: {}", "real: {network: {momentum: 0.9}}", r"space\.yaml:8: .*momentum is for RMSprop and SGD"),
    ("real: {}", "real: {network: {remap: size}}", r"space\.yaml:8: .*unknown remapping 'size'; .*signed, magnitude"),
    ('"distance_rule:mouse_gamanut"', "marmozet", r"space\.yaml:5: connectome\.name: .*did you mean 'marmoset'"),
    ('name: "distance_rule:mouse_gamanut"', "path: a.csv, colums: {}", r"space\.yaml:5: .*did you mean 'columns'"),
    ("trials_per_arm: 5", "trials_per_arm: 0", r"space\.yaml:14: search\.trials_per_arm: .*found 0"),
    ("shared_settings: 2", "shared_settings: 6", r"shared_settings 6 exceeds trials_per_arm 5"),
    (
        "reduction: 3",
        "reduction: 3, sampler: grid",
        r"space\.yaml:14: search\.sampler: grid needs a choice .*learning_rate has",
    ),
    ("grace: 1", "grace: 10", r"grace 10 exceeds max_epochs 9"),
    ("trials: 60", "trials: many", r"space\.yaml:4: task\.trials: .*found 'many'"),
    ("pattern_length: 2", "pattern_length: 0", r"space\.yaml:4: .*pattern_length"),
    ("name: small", "name: ../escape", r"space\.yaml:2: name: "),
    ("  real: {}", "  '<b>': {}", r"space\.yaml:8: arms"),
    ("reference_arm: real\n", "", r"reference_arm: this key is missing"),
    ("seed: 3", "seed: 3\nseed: 4", r"space\.yaml:4: the key 'seed' is here twice"),
    ("seed: 3", "seed: [3", r"space\.yaml:\d+:\d+: not YAML"),
    ("seed: 3", "seed: !!python/object/apply:os.getpid []", r"space\.yaml:3:\d+: not YAML"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[new[:40] for _, new, _ in MISTAKES])
def test_a_mistake_is_pointed_at(write_space: WriteSpace, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_study(write_space((old, new)))


def test_a_key_that_may_be_of_several_types_is_named_once(write_space: WriteSpace) -> None:
    for wrong in ("0", "few", "[2, 0]", "{density: rank, mean: 0}"):
        with pytest.raises(UserError) as caught:
            load_study(write_space(("neurons_per_region: 2", f"neurons_per_region: {wrong}")))
        assert len(str(caught.value).splitlines()) == 1, caught.value


LARGE = """name: large
seed: 3
task: {name: nback_mem, n_back: 2}
connectome: {name: marmoset}
topology:
  neurons_per_region: 2
  target_sparsity: 0.5
network:
  optimizer: SGD
  gradient_clip: 2.0
arms:
  real: {}
  fewer: {topology: {target_sparsity: 0.3}}
  other: {connectome: {name: macaque}}
  rewired: {null: {name: degree_preserving, level: neuron}}
  flipped: {null: {name: direction_reversed}}
reference_arm: real
positive_control: frozen
tune:
  learning_rate: {loguniform: [1.0e-3, 1.0e-1]}
  momentum: {uniform: [0.0, 0.9]}
  nonlinearity: {choice: [tanh, relu]}
search: {trials_per_arm: 5, shared_settings: 2, max_epochs: 9, grace: 1}
confirm: {replicates: 3, max_epochs: 6}
criterion:
  sustain: 3
conditions:
  primary: {}
  sparse: {topology: {target_sparsity: 0.2}}
  short: {task: {n_back: 1}, replicates: 2}
gain:
  scales: [0.25, 1.25, 2.5]
  learning_rates: [2.0e-3, 2.0e-2]
"""

TOGETHER = {
    ("name: large", "name: ../large"): "space.yaml:1: name: ",
    ("seed: 3", "seed: 3\nseed: 3"): "the key 'seed' is here twice; keep one",
    ("n_back: 2}", "n_back: 0}"): "task.n_back: task nback_mem: n_back is 0",
    ("\ntask: {", "\ntask: {batches: 3, "): "task.batches: unknown option",
    ("\ntask: {", "\ntask: {trials: 1, "): "task.trials: input should be greater than or equal to 2, found 1",
    ("connectome: {name: marmoset}", "connectome: {name: marmozet}"): "connectome.name: unknown connectome",
    ("neurons_per_region: 2", "neurons_per_region: few"): "topology.neurons_per_region: ",
    ("topology:\n", "topology:\n  sparsity: 0.5\n"): "topology.sparsity: unknown key",
    ("target_sparsity: 0.5", "target_sparsity: 5"): "topology.target_sparsity: ",
    ("network:\n", "network:\n  dale: true\n"): "network.dale: dale: true needs signs",
    ("network:\n", "network:\n  learning_rat: 1\n"): "network.learning_rat: unknown key",
    ("gradient_clip: 2.0", "gradient_clip: none"): "network.gradient_clip: ",
    ("real: {}", "real: {network: {learning_rate: 0.1}}"): "arms.real.network.learning_rate: is tuned",
    ("{target_sparsity: 0.3}", "{target_sparsity: 3}"): "arms.fewer.topology.target_sparsity: ",
    ("name: macaque", "name: macaw"): "arms.other.connectome.name: unknown connectome",
    ("name: degree_preserving", "name: degrees"): "arms.rewired.null.name: unknown null",
    ("{name: direction_reversed}", "{name: direction_reversed, fraction: 2}"): "arms.flipped.null.fraction: ",
    ("arms:\n", "arms:\n  '<b>': {}\n"): "arms.<b>: ",
    ("  fewer:", "  Real: {}\n  fewer:"): "arms.Real: real and Real differ in capitals alone",
    ("arms:\n", "arms:\n  relu: {network: {nonlinear: relu}}\n"): "arms.relu.network.nonlinear: unknown key",
    ("arms:\n", "arms:\n  positive_control: {}\n"): "positive_control: adds an arm positive_control",
    ("reference_arm: real", "reference_arm: reel"): "reference_arm: unknown arm 'reel'; ",
    ("loguniform: [1.0e-3,", "loguniform: [0.0,"): "tune.learning_rate.loguniform: loguniform must start above 0",
    ("uniform: [0.0, 0.9]", "uniform: [0.0, 9.0]"): "tune.momentum: 9.0 is not allowed",
    ("[tanh, relu]", "[tanh, gelu]"): "tune.nonlinearity: 'gelu' is not allowed",
    ("tune:\n", "tune:\n  depth: {int: [1, 2]}\n"): "tune.depth: cannot tune 'depth'",
    ("shared_settings: 2", "shared_settings: 6"): "search.shared_settings: shared_settings 6 exceeds trials_per_arm 5",
    ("grace: 1", "grace: 10"): "search.grace: grace 10 exceeds max_epochs 9",
    ("{replicates: 3,", "{replicates: '3',"): "confirm.replicates: ",
    ("max_epochs: 6", "max_epoch: 6"): "confirm.max_epoch: unknown key",
    ("criterion:\n", "criterion:\n  metric: loss\n"): "criterion.metric: ",
    ("sustain: 3", "sustain: 0"): "criterion.sustain: ",
    ("primary: {}", "primary: {replicates: 2}"): "conditions.primary.replicates: the first condition is the primary",
    ("  sparse:", "  empty: {}\n  sparse:"): "conditions.empty: sets no key",
    ("  sparse:", "  wrong: {networks: {readout: 1}}\n  sparse:"): "conditions.wrong.networks: unknown key",
    ("{target_sparsity: 0.2}", "{target_sparsity: 7}"): "conditions.sparse.topology.target_sparsity: ",
    ("n_back: 1}", "n_back: -1}"): "conditions.short.task.n_back: task nback_mem: n_back is -1",
    ("replicates: 2}\ngain", "replicates: 1}\ngain"): "conditions.short.replicates: ",
    ("scales: [0.25,", "scales: [5.25,"): "gain.scales: must ascend",
    ("  learning_rates:", "  rates: []\n  learning_rates:"): "gain.rates: unknown key",
}  # fmt: skip
"""Mistakes that can be made together, each of which hides others from a check that stops at the first."""

OPTIONS = {
    "seed": "--set 'seed': give it as key.path=value",
    "criterion.fraction_of_null=[": "--set criterion.fraction_of_null: '[' is not a YAML value",
    "equivalence_margin=-1": "--set equivalence_margin: equivalence_margin: ",
    "name.first=3": "--set name.first=3: name is not a mapping",
    "confirm.population=0": "--set confirm.population: confirm.population: ",
}


@given(
    planted=st.sets(st.sampled_from(sorted(TOGETHER)), min_size=1),
    overrides=st.lists(st.sampled_from(sorted(OPTIONS)), unique=True),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_mistake_is_named_at_once(
    write_space: WriteSpace, planted: set[tuple[str, str]], overrides: list[str]
) -> None:
    assert load_study(write_space(text=LARGE)).arms
    with pytest.raises(UserError) as caught:
        load_study(write_space(*sorted(planted), text=LARGE), overrides=overrides)
    lines = str(caught.value).splitlines()
    for message in [*(TOGETHER[change] for change in planted), *(OPTIONS[override] for override in overrides)]:
        assert any(message in line for line in lines), (message, lines)
    assert len(lines) == len(planted) + len(overrides), lines


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.trials_per_arm", "give it as key.path=value"),
        ("search.trials_per_arms=3", "--set search.trials_per_arms: .*did you mean 'trials_per_arm'"),
        ("name.first=3", "name is not a mapping"),
        ("search.trials_per_arm=[", "not a YAML value"),
        ("search.trials_per_arm=0", "--set search.trials_per_arm: search.trials_per_arm: .*found 0"),
    ],
)
def test_a_wrong_override_is_named_as_such(small_space: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_study(small_space, overrides=[override])


def test_unknown_arms_and_files_are_named(small_space: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'rewired'"):
        load_study(small_space, arms=["rewierd"])
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file"):
        load_study(tmp_path / "nowhere.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="must be a mapping"):
        load_study(tmp_path / "list.yaml")


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A section and all that lie in it."""
    found = [model]
    for field in model.model_fields.values():
        pending = [field.annotation]
        while pending:
            annotation = pending.pop()
            pending += get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found += sections(annotation)
    return found


@pytest.mark.parametrize("section", sections(StudyConfig), ids=lambda section: section.__name__)
def test_every_key_is_documented(section: type[BaseModel]) -> None:
    page = Path("docs/study.md").read_text()
    for name, field in section.model_fields.items():
        key = field.alias or name
        assert re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", page), f"docs/study.md lacks the key {key}"


@pytest.mark.parametrize("space", sorted(Path("search_spaces").glob("*.yaml")), ids=lambda file: file.name)
def test_the_studies_that_come_along_are_valid(space: Path) -> None:
    assert load_study(space).arms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: !!bool abc\n", "'abc' cannot be read as bool"),
        ("name: !!float abc\n", "'abc' cannot be read as float"),
        ("seed: " + "9" * 5000 + "\n", "cannot be read as int"),
        ("name: &a [*a]\n", "more than 50 deep"),
        ("name: " + "[" * 5000 + "]" * 5000 + "\n", "more than 50 deep"),
        (
            "name: x\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            "more than 100,000 values",
        ),
    ],
)
def test_yaml_that_would_never_end_or_cannot_be_read_is_a_line(tmp_path, text, message):
    file = tmp_path / "space.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_study(file)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("value", ["true", "'1'", "1.5"])
@pytest.mark.parametrize("key", ["confirm.replicates", "search.grace", "task.trials"])
def test_what_is_no_whole_number_is_refused(small_space, key, value):
    with pytest.raises(UserError, match=rf"--set {key}: "):
        load_study(small_space, overrides=[f"{key}={value}"])


def test_arms_that_some_disks_do_not_tell_apart_are_refused(write_space):
    with pytest.raises(UserError, match="real and Real differ in capitals alone"):
        load_study(write_space(("  rewired: ", "  Real: {}\n  rewired: ")))


def test_a_file_does_not_keep_the_name_of_the_catalogue(small_space, tmp_path):
    study = load_study(small_space, overrides=["connectome.name=marmoset", f"connectome.path={tmp_path / 'mine.csv'}"])
    assert study.config.connectome.name == "mine"
    study = load_study(small_space, overrides=["connectome.name=ours", f"connectome.path={tmp_path / 'mine.csv'}"])
    assert study.config.connectome.name == "ours"


def test_a_date_is_text(small_space):
    assert load_study(small_space, overrides=["name=2001-13-45"]).config.name == "2001-13-45"


class TestPaths:
    def test_are_relative_to_the_yaml(self, write_space, tmp_path, monkeypatch):
        (tmp_path / "mine.csv").write_text("source,target,weight\na,b,1\nb,a,1\n")
        file = write_space(('name: "distance_rule:mouse_gamanut"', "path: mine.csv"))
        monkeypatch.chdir("/")
        study = load_study(file)
        assert study.config.connectome.path == str(tmp_path / "mine.csv")
        assert not study.notes

    def test_are_taken_from_the_present_folder_with_a_note(self, write_space, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "mine.csv").write_text("source,target,weight\na,b,1\nb,a,1\n")
        file = write_space(("  real: {}", "  real: {connectome: {path: mine.csv}}"))
        monkeypatch.chdir(tmp_path / "elsewhere")
        study = load_study(file)
        assert study.arms["real"].connectome.path == str(tmp_path / "elsewhere" / "mine.csv")
        assert "mine.csv is not beside the study's YAML" in study.notes[0]
        assert study.notes[0].startswith("arms.real.connectome.path: ")

    def test_of_set_are_relative_to_the_present_folder(self, small_space, tmp_path, monkeypatch):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        study = load_study(small_space, overrides=["connectome.path=mine.csv"])
        assert study.config.connectome.path == str(tmp_path / "elsewhere" / "mine.csv")


def test_a_quick_look_is_smaller_under_the_primary_alone_and_says_what_it_leaves_out(write_space: WriteSpace) -> None:
    whole, quick = (load_study(write_space(text=LARGE), quick=asked) for asked in (False, True))
    assert (whole.config.quick, quick.config.quick) == (False, True)
    assert list(quick.conditions) == [whole.primary]
    for section in ("search", "confirm"):
        for key, most in QUICK[section].items():
            found, before = (getattr(getattr(one.config, section), key) for one in (quick, whole))
            assert found == min(before, most)
    [note] = [note for note in quick.notes if "--quick" in note]
    assert "no result" in note
    assert "without the gain sweep" in note
    for name in list(whole.config.conditions)[1:]:
        assert name in note
    assert not any("--quick" in note for note in whole.notes)
