"""What confirming many replicates costs the driver, with few of them."""

from dataclasses import replace

import pytest

from checks.replicates import Cost, measure


@pytest.mark.long
def test_all_that_the_driver_does_is_measured_and_a_report_made() -> None:
    cost = measure(replicates=24, epochs=8)
    assert cost.networks == 4 * 24
    assert cost.epochs == 8
    # the reference is read four times, each other arm twice; 10 epochs and the evaluation before them; four searches
    assert cost.curves == (4 + 3 * 2) * 24 * 11 + 4 * 16 * 4 * 28
    assert min(cost.journal_mib, cost.tables_mib, cost.page_mib, cost.report_s, cost.resume_s) > 0


def test_what_is_too_much_is_said() -> None:
    fine = Cost(2000, 100, 515_000, 10.0, 11.0, 1.0, 30.0, 20.0, 500.0, 3.0, 30.0, 800.0, 5.0)
    assert fine.broken() == []
    assert replace(fine, report_s=61.0).broken() == ["the report took 61 s, more than 60"]
    assert replace(fine, driver_mib=2000.0, last_ms=21.0).broken() == [
        "the driver took 2000 MiB, more than 1024",
        "a block cost 21.0 ms at the end, 10.0 ms at the beginning",
    ]
