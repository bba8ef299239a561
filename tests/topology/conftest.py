import os

import pytest

from biotune.connectome import CATALOGUE, Connectome, load_connectome


@pytest.fixture(params=[name for name, entry in CATALOGUE.items() if entry.nodes == "regions"])
def published(request: pytest.FixtureRequest) -> Connectome:
    """Each connectome of regions in the catalogue, as published."""
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")
    return load_connectome(request.param)
