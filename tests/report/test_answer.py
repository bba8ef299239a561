"""What a report answers: ratios, claims, and where the two ways of comparing disagree."""

import numpy as np
import pytest

from biotune.report import read_report


def test_finds_the_ratios_that_were_simulated(reported, verdicts):
    _, summary = reported
    found = {c.arm: c.ratio.estimate for c in summary.comparisons}
    assert found["degrees"] == pytest.approx(0.5, rel=0.1)
    assert found["random"] == pytest.approx(1.0, rel=0.1)
    assert verdicts(summary.comparisons) == {
        "degrees": "faster",
        "lesioned": "slower",
        "random": "equivalent",
        "sparse": "slower, size open",
        "frozen": "undecided",
    }


def test_is_two_sentences_that_name_every_arm(reported):
    _, summary = reported
    for arm in summary.arms:
        assert arm in summary.answer[0]
    assert "degrees (0.5" in summary.answer[0]
    assert "16 pairs" in summary.answer[1]
    assert "a direction is claimed only if both have it" in summary.answer[1]


def test_says_where_own_best_settings_disagree(reported):
    _, summary = reported
    [sentence] = summary.disagreements
    assert sentence.startswith("What is found of degrees depends on the setting: at the setting of its pair")
    assert "faster" in sentence
    assert "with each arm at its own best equivalent" in sentence
    assert "The answer as a curve over the settings" in sentence
    assert "whether degrees (0.5" in summary.answer[0]
    assert "depends on the setting" in summary.answer[0]


def test_claims_what_both_ways_of_comparing_say(reported):
    _, summary = reported
    claims = {arm: claim.name for arm, claim in summary.claims.items()}
    assert claims == {
        "degrees": "undecided",  # faster in its pair, equivalent at own best settings
        "lesioned": "slower",
        "random": "equivalent",
        "sparse": "slower, size open",
        "frozen": "undecided",
    }
    assert [arm for arm in summary.arms if summary.depends(arm)] == ["degrees"]


def test_says_that_the_setting_of_every_pair_is_everyones_best(simulate):
    assert "also each arm's own best" in read_report(simulate()).answer[1]


def test_of_other_criterion_levels(simulate):
    summary = read_report(simulate())
    assert len(summary.levels) == 5
    # log loss falls in straight lines here, so the ratio is the same wherever the criterion lies
    for level in summary.levels:
        assert [c.ratio.estimate for c in level.comparisons] == pytest.approx(
            [c.ratio.estimate for c in summary.comparisons], rel=0.02
        )


def test_counts_a_diverged_replicate_as_one_that_did_not_converge(reported):
    _, summary = reported
    lesioned = summary.result("lesioned")
    assert (lesioned.diverged, lesioned.converged.count, lesioned.converged.total) == (1, 15, 16)
    assert np.isfinite(lesioned.final_loss[1])
    texts = " ".join(limit.text for limit in summary.limits)
    assert "lesioned: 1 confirmed replicate diverged" in texts
    assert "lesioned: 1 confirmed replicate did not meet the criterion" in texts
    assert "random: 1 confirmed" not in texts


def test_widens_the_intervals_for_the_arms_of_the_study(simulate):
    assert read_report(simulate()).confidence == pytest.approx(0.975)


def test_intervals_that_lie_apart_are_said(simulate):
    summary = read_report(simulate(ratios={"marmoset": 1.0, "degrees": 0.6}, own_best={"degrees": 0.3}))
    [sentence] = summary.disagreements
    assert sentence.startswith("degrees is faster at the setting of its pair and with each arm at its own best")
    assert "the intervals do not overlap" in sentence
