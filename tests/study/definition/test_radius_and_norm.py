"""What initial recurrent matrices are scaled to: a spectral radius or a Frobenius norm, or neither."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from biotune.errors import UserError
from biotune.study import load_study
from biotune.study.definition.study import with_setting
from biotune.study.plans.plans import Plans
from biotune.training import Trial


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
