"""What stands beside a verdict: the bootstrap-t interval, and the reference's rank among the draws of a null."""

import pytest

from biotune.report import make_report, read_report


def test_a_bootstrap_t_interval_stands_beside_the_paired_t(reported, read_page):
    directory, summary = reported
    text = read_page(directory).text
    for c in summary.comparisons:
        assert c.bootstrap.estimate == c.ratio.estimate
        assert (c.bootstrap.low, c.bootstrap.high) != (c.ratio.low, c.ratio.high)
        if c.verdict.name != "not comparable":
            high = "∞" if c.bootstrap_verdict.bound else f"{c.bootstrap.high:.2f}"
            assert f"[{c.bootstrap.low:.2f}, {high}]" in text


@pytest.mark.slow
def test_the_reference_among_at_least_nineteen_draws(simulate, read_page):
    directory = simulate(pairs=19)
    degrees, random = make_report(directory).comparisons
    assert (degrees.rank.percentile, degrees.rank.p) == (100, 1 / 20)
    assert 0 < random.rank.percentile < 100
    text = read_page(directory).text
    assert "marmoset is at percentile 100 of 19 draws of degrees" in text
    assert "permutation p = 0.050" in text


@pytest.mark.slow
def test_fewer_draws_give_a_sentence_instead(simulate, read_page):
    directory = simulate(pairs=18)
    summary = make_report(directory)
    assert [c.rank for c in summary.comparisons] == [None, None]
    assert "there are 18 draws of each, and with fewer than 19 no rank" in read_page(directory).text


def test_an_arm_that_is_no_null_has_no_place(simulate):
    directory = simulate(pairs=20, edit=lambda study: study["arms"].update(degrees={"connectome": {"name": "macaque"}}))
    assert [c.rank is None for c in read_report(directory).comparisons] == [True, False]
