"""What a trial gets of the nodes that there are, and what no node can give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.study.resources.fit import fit_resources

HEAD, GPU_NODE = {"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}
NODES = st.lists(
    st.fixed_dictionaries({"CPU": st.integers(0, 64).map(float)}, optional={"GPU": st.integers(1, 8).map(float)}),
    min_size=1,
    max_size=5,
)


def test_a_trial_gets_a_core_and_a_quarter_of_a_gpu_where_there_is_one() -> None:
    alone = fit_resources([HEAD], None, None, None)
    assert (alone.cpus, alone.gpus, alone.concurrency) == (1, 0.0, 8)
    with_gpu = fit_resources([HEAD, GPU_NODE], None, None, None)
    assert (with_gpu.cpus, with_gpu.gpus, with_gpu.concurrency) == (1, 0.25, 4)


def test_a_fraction_comes_from_one_gpu() -> None:
    two = {"CPU": 16.0, "GPU": 2.0}
    places = {
        gpus: fit_resources([two], None, gpus, None).concurrency for gpus in (0.1, 1 / 3, 0.4, 0.5, 0.6, 1.0, 2.0)
    }
    assert places == {0.1: 16, 1 / 3: 6, 0.4: 4, 0.5: 4, 0.6: 2, 1.0: 2, 2.0: 1}


def test_where_nodes_may_be_added_more_trials_may_wait() -> None:
    assert fit_resources([HEAD], None, None, 20).concurrency == 8
    assert fit_resources([HEAD], None, None, 20, grows=True).concurrency == 20


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"),
    [
        (9, None, "--cpus-per-trial 9: the largest node has 8 cores"),
        (1, 2.0, "--gpus-per-trial 2: the largest node has 1 GPUs"),
        (8, 0.25, "no node has both; those with the GPUs have at most 4 cores"),
    ],
)
def test_what_no_node_can_give_is_an_error_at_once(cpus: int, gpus: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit_resources([HEAD, GPU_NODE], cpus, gpus, None)


@given(NODES, st.integers(1, 64), st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0]))
def test_what_is_granted_fits_a_node_and_what_fits_is_granted(
    nodes: list[dict[str, float]], cpus: int, gpus: float
) -> None:
    fits = any(node["CPU"] >= cpus and node.get("GPU", 0.0) >= gpus for node in nodes)
    try:
        granted = fit_resources(nodes, cpus, gpus, None)
    except UserError:
        assert not fits
    else:
        assert fits
        assert granted.concurrency * cpus <= sum(node["CPU"] for node in nodes)
