import os

import pytest

from biotune.connectome import CATALOGUE, Connectome, load_connectome


@pytest.fixture(params=CATALOGUE)
def published(request: pytest.FixtureRequest) -> Connectome:
    """Each connectome of the catalogue, as published."""
    if not os.environ.get("BIOTUNE_DATA"):
        pytest.skip("the published connectomes are needed: set BIOTUNE_DATA to a folder that has them")
    return load_connectome(request.param)
