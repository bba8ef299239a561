import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biotune.errors import UserError
from biotune.tasks import TASKS, make_task


@pytest.mark.parametrize("name", TASKS)
def test_the_common_face(name):
    task = make_task(name)
    trials = task.trials(7, np.random.default_rng(1))
    steps = np.arange(task.time)[task.scored]
    assert trials.inputs.shape == (7, task.time, task.input_size)
    assert trials.inputs.dtype == np.float32
    if task.loss == "mse":
        assert trials.targets.shape == (7, len(steps), task.output_size)
        assert trials.targets.dtype == np.float32
    else:
        assert trials.targets.shape == (7, len(steps))
        assert trials.targets.dtype == np.int64
    assert task.name == name


@pytest.mark.parametrize("name", TASKS)
def test_the_seed_fixes_the_trials(name):
    first, again, other = (make_task(name).trials(5, np.random.default_rng(seed)).inputs for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@given(st.integers(1, 12), st.integers(0, 20), st.integers(0, 2**32))
def test_seq_mem_shows_a_pattern_a_cue_and_silence_and_asks_for_the_pattern(length, count, seed):
    task = make_task("seq_mem", pattern_length=length)
    trials = task.trials(count, np.random.default_rng(seed))
    cue, value = trials.inputs[..., 0], trials.inputs[..., 1]
    assert task.time == 2 * length + 1
    assert np.array_equal(np.arange(task.time)[task.scored], np.arange(length + 1, 2 * length + 1))
    assert np.array_equal(trials.targets[..., 0], value[:, :length])
    assert np.all(value[:, length:] == 0)
    assert np.all(cue == (np.arange(task.time) == length))
    assert np.all((value >= 0) & (value < 1))


def test_seq_mem_values_are_uniform_and_independent():
    pattern = make_task("seq_mem", pattern_length=3).trials(20_000, np.random.default_rng(1)).targets[..., 0]
    assert np.histogram(pattern, bins=10, range=(0, 1))[0] / pattern.size == pytest.approx(np.full(10, 0.1), abs=0.005)
    assert np.corrcoef(pattern.T) == pytest.approx(np.eye(3), abs=0.03)


def test_seq_mem_null_loss_is_what_always_saying_the_mean_scores():
    task = make_task("seq_mem", pattern_length=4)
    targets = task.trials(50_000, np.random.default_rng(1)).targets
    losses = [float(np.mean((targets - guess) ** 2)) for guess in (0.45, 0.5, 0.55)]
    assert losses[1] == min(losses)
    assert losses[1] == pytest.approx(task.null_loss, rel=0.01)
    assert task.null_accuracy is None


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("seqmem", {}, "unknown task 'seqmem'; did you mean 'seq_mem'"),
        ("seq_mem", {"patern_length": 3}, "did you mean 'pattern_length'"),
        ("seq_mem", {"pattern_length": 0}, "pattern_length is 0"),
        ("seq_mem", {"pattern_length": 2.5}, "pattern_length is 2.5"),
        ("seq_mem", {"pattern_length": "5"}, "pattern_length is '5'"),
        ("seq_mem", {"pattern_length": True}, "pattern_length is True"),
    ],
)
def test_names_and_options_that_will_not_do(name, options, message):
    with pytest.raises(UserError, match=message):
        make_task(name, **options)
