"""How many trials share a GPU: what follows from the figures, and how they are taken (a core that Ray calls a GPU)."""

import time

import pytest
import ray

from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.study.resources.packing import COUNTS, Probe, pack, populations, worthwhile


@pytest.mark.parametrize(
    ("rates", "trials"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 105.0}, 1),
        ({1: 100.0, 2: 190.0, 4: 230.0, 8: 231.0}, 4),
        ({1: 100.0, 2: 200.0, 4: 400.0, 8: 800.0}, 8),
    ],
)
def test_trials_share_a_gpu_as_long_as_it_is_worth_it(rates, trials):
    assert worthwhile(rates) == trials


@pytest.mark.parametrize(
    ("replicates", "gpus", "first"),
    [(16, 1, 16), (16, 2, 16), (16, 3, 8), (16, 4, 8), (16, 64, 1), (5, 3, 3), (2, 8, 1), (1, 8, 1)],
)
def test_a_confirm_block_is_as_large_as_leaves_no_gpu_idle(write_space, replicates, gpus, first):
    space = write_space(("replicates: 3", f"replicates: {replicates}"), (", population: 2", ""))
    sizes = populations(load_study(space), gpus)
    assert sizes[0] == first
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] == 1


def test_a_population_that_the_study_names_is_kept(small_space):
    assert populations(load_study(small_space), 4) == [2]


def test_a_probe_takes_up_one_plan_after_another(small_space):
    plans = Plans.load(load_study(small_space))
    probe = Probe(1)
    for plan in (
        plans.search("real", {"learning_rate": 0.01, "nonlinearity": "tanh"}),
        plans.plan("rewired", {}, "confirm", [0]),
    ):
        used, total = probe.begin(plan)
        assert 0 < used < total
        assert probe.rate(0.05) > 0


@pytest.mark.slow
def test_measures_where_ray_has_a_gpu(small_space):
    ray.init(num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        packing = pack(Plans.load(load_study(small_space)), cpus=1)
        deadline = time.monotonic() + 30
        while ray.available_resources().get("CPU") != 4:  # nothing may be left that holds it
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        ray.shutdown()
    assert packing.population == 2
    assert list(packing.rates) == list(COUNTS[: len(packing.rates)])
    assert packing.trials in packing.rates
    assert packing.trials <= 4  # each needs a core
    assert 0 < packing.trial < packing.total
    assert f"trials that share a GPU: {packing.trials} " in str(packing)
