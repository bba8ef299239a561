"""How many trials share a GPU: what follows from the figures, and how they are taken (a core that Ray calls a GPU)."""

import time

import pytest
import ray
from rich.console import Console

from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.study.resources.packing import COUNTS, Packing, Probe, pack, populations, share_out, worthwhile


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


@pytest.mark.long
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


@pytest.mark.parametrize(
    ("node", "gpus", "share", "concurrency", "population"),
    [
        ({"CPU": 8.0}, "auto", 0.0, 8, 2),
        ({"CPU": 8.0, "GPU": 1.0}, "auto", 0.5, 2, 3),
        ({"CPU": 8.0, "GPU": 1.0}, None, 0.25, 4, 2),
        ({"CPU": 8.0, "GPU": 1.0}, 1.0, 1.0, 1, 2),
    ],
)
def test_what_a_trial_gets_is_measured_only_on_a_gpu_and_only_if_it_is_asked_for(
    small_space, monkeypatch, node, gpus, share, concurrency, population
):
    def measured(plans, cpus):
        assert (plans.device, cpus, gpus) == ("cuda", 1, "auto")
        return Packing(population=3, trials=2, rates={1: 100.0, 2: 190.0}, trial=1, block=2, total=100)

    monkeypatch.setattr("biotune.study.resources.packing.nodes", lambda: [node])
    monkeypatch.setattr("biotune.study.resources.packing.pack", measured)
    asked = {"cpus": None, "gpus": gpus, "concurrency": None, "dashboard": None, "grows": False}
    resources, found = share_out(Plans.load(load_study(small_space)), Console(quiet=True), **asked)
    assert (resources.gpus, resources.concurrency, found) == (share, concurrency, population)
