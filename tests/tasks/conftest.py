"""A cache of the tests' own, which all of them share: the encoder of the digits is trained once."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
