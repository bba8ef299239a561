"""Every mistake in a study's YAML, and in the options that change it, is pointed at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.study import load_study

WriteSpace = Callable[..., Path]

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


@pytest.mark.parametrize("value", ["true", "'1'", "1.5"])
@pytest.mark.parametrize("key", ["confirm.replicates", "search.grace", "task.trials"])
def test_what_is_no_whole_number_is_refused(small_space, key, value):
    with pytest.raises(UserError, match=rf"--set {key}: "):
        load_study(small_space, overrides=[f"{key}={value}"])


def test_arms_that_some_disks_do_not_tell_apart_are_refused(write_space):
    with pytest.raises(UserError, match="real and Real differ in capitals alone"):
        load_study(write_space(("  rewired: ", "  Real: {}\n  rewired: ")))
