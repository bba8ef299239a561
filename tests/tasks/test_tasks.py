import time
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biotune.cli import main
from biotune.errors import UserError
from biotune.tasks import TASKS, make_task
from biotune.tasks.encoder import LATENTS
from biotune.tasks.own import check
from biotune.tasks.pictures import trial_pictures

MATCHING = ["nback_mem", "pic_mem", "pic_latent_mem"]
lengths = st.integers(2, 9).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length - 1)))


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
    check(task)


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


@pytest.mark.parametrize("name", MATCHING)
@settings(deadline=None)
@given(lengths, st.integers(0, 60), st.integers(0, 2**32))
def test_half_of_the_trials_match_and_the_silent_last_step_is_asked(name, length_and_back, count, seed):
    length, n_back = length_and_back
    task = make_task(name, trial_length=length, n_back=n_back)
    trials = task.trials(count, np.random.default_rng(seed))
    assert sorted(trials.targets[:, 0]) == [1] * (count - count // 2) + [2] * (count // 2)
    assert np.arange(task.time)[task.scored].tolist() == [task.time - 1]
    assert not trials.inputs[:, -1].any()
    assert task.output_size == 3
    assert np.all((trials.inputs >= 0) & (trials.inputs <= 1))
    shows_a_picture = name != "nback_mem"
    assert task.time == length + 1 + shows_a_picture
    cue = trials.inputs[..., 0]
    assert np.all(cue == (np.arange(task.time) == length - 1 + shows_a_picture))
    if shows_a_picture:
        assert not trials.inputs[:, length, 1:].any()


@given(lengths, st.integers(0, 60), st.integers(0, 2**32))
def test_nback_mem_matches_where_the_last_value_equals_the_one_n_back(length_and_back, count, seed):
    length, n_back = length_and_back
    trials = make_task("nback_mem", trial_length=length, n_back=n_back).trials(count, np.random.default_rng(seed))
    values = trials.inputs[:, :length, 1]
    assert np.array_equal(values[:, -1] == values[:, -1 - n_back], trials.targets[:, 0] == 2)


def drawn_pictures(task, count):
    """Which pictures each trial shows, and which trials match."""
    matches = task.draw_matches(count, np.random.default_rng(1))
    return task.draw_pictures(matches, trial_pictures("digits").classes, np.random.default_rng(2)), matches


def test_a_match_of_class_is_another_picture_of_the_same_class_and_no_match_one_of_another():
    shown, matches = drawn_pictures(make_task("pic_mem", n_back=3), 20_000)
    earlier, last = shown[:, 1], shown[:, 4]
    classes = trial_pictures("digits").classes
    assert np.array_equal(classes[earlier] == classes[last], matches)
    assert not np.any(earlier == last)
    # every picture has its chance to be the last, and no digit gives away by itself whether there is a match
    assert len(np.unique(last)) == len(classes)
    for one in (matches, ~matches):
        assert np.bincount(classes[last[one]]) / one.sum() == pytest.approx(np.full(10, 0.1), abs=0.015)


def test_a_match_of_image_is_the_identical_picture_and_no_match_any_other():
    shown, matches = drawn_pictures(make_task("pic_mem", n_back=2, match="image"), 20_000)
    assert np.array_equal(shown[:, 2] == shown[:, 4], matches)
    classes = trial_pictures("digits").classes
    assert np.mean(classes[shown[~matches, 2]] == classes[shown[~matches, 4]]) == pytest.approx(0.1, abs=0.015)


def test_pic_mem_shows_the_pixels_of_the_drawn_pictures():
    task = make_task("pic_mem", match="image", n_back=1, trial_length=2)
    trials = task.trials(50, np.random.default_rng(1))
    known = {picture.tobytes() for picture in trial_pictures("digits").pixels}
    assert all(step.tobytes() in known for step in trials.inputs[:, :2, 1:].reshape(100, 64))
    same = (trials.inputs[:, 0, 1:] == trials.inputs[:, 1, 1:]).all(1)
    assert np.array_equal(same, trials.targets[:, 0] == 2)


def test_pic_latent_mem_shows_latents_that_each_run_from_0_to_1():
    task = make_task("pic_latent_mem")
    shown = task.trials(50, np.random.default_rng(1)).inputs[:, :5, 1:]
    assert shown.shape[2] == LATENTS == 50
    assert np.all(shown.min(2) == 0)
    assert np.all(shown.max(2) == 1)


@pytest.mark.parametrize("name", MATCHING)
def test_the_null_predictor_of_a_matching_task_scores_log_2_and_is_right_every_other_time(name):
    task = make_task(name)
    targets = task.trials(2_000, np.random.default_rng(1)).targets
    losses = [float(-np.mean(np.where(targets == 2, log(p), log(1 - p)))) for p in (0.45, 0.5, 0.55)]
    assert losses[1] == min(losses)
    assert losses[1] == pytest.approx(task.null_loss)
    assert np.mean(targets == 1) == task.null_accuracy


@pytest.mark.parametrize("name", TASKS)
def test_ten_thousand_trials_take_well_under_a_second(name):
    task = make_task(name)
    task.trials(1, np.random.default_rng(1))
    start = time.process_time()
    task.trials(10_000, np.random.default_rng(1))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("seqmem", {}, "unknown task 'seqmem'; did you mean 'seq_mem'"),
        ("seq_mem", {"patern_length": 3}, "did you mean 'pattern_length'"),
        ("seq_mem", {"pattern_length": 0}, "pattern_length is 0"),
        ("seq_mem", {"pattern_length": 2.5}, "pattern_length is 2.5"),
        ("seq_mem", {"pattern_length": "5"}, "pattern_length is '5'"),
        ("seq_mem", {"pattern_length": True}, "pattern_length is True"),
        ("nback_mem", {"n_back": 5}, "n_back is 5 and trial_length 5; n_back must be below trial_length"),
        ("nback_mem", {"n_back": 0}, "n_back is 0"),
        ("pic_mem", {"trial_length": 1}, "trial_length is 1"),
        ("pic_mem", {"pictures": "digit"}, "did you mean 'digits'"),
        ("pic_latent_mem", {"match": "picture"}, "match is 'picture'; class or image is needed"),
    ],
)
def test_names_and_options_that_will_not_do(name, options, message):
    with pytest.raises(UserError, match=message):
        make_task(name, **options)


def test_task_list_names_every_task_its_options_and_its_null_predictor(capsys):
    assert main(["task", "list"]) == 0
    printed = capsys.readouterr().out
    for name in TASKS:
        assert f"\n{name}\n" in f"\n{printed}"
    assert "match: class" in printed
    assert "negative log-likelihood 0.6931, accuracy 0.5" in printed
