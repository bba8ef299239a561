"""What the report says of an arm, in words."""

from biotune.report.methods import describe_arm


def test_an_arm_is_its_null_and_what_it_sets() -> None:
    null = {"name": "degree_preserving", "level": "region", "weights": "shuffled", "fraction": 1.0}
    assert describe_arm({"null": null}) == (
        "degree preserving null of the regions, which keeps each node's number of inputs, number of "
        "outputs and output weights, its weights then shuffled"
    )
    carried = describe_arm({"null": {**null, "weights": "carried"}})
    assert "shuffled" not in carried
    assert describe_arm({}) == "as it is"
    neurons = {"neurons_per_region": {"density": "rank", "mean": 4.0, "unmeasured": None}, "draw": 1}
    assert describe_arm({"topology": neurons}) == "neurons per region (density rank, mean 4, unmeasured none); draw 1"
