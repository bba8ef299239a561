from pathlib import Path

import pytest

import kernels.select
import kernels.verification


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process that has found out nothing yet, with a cache folder of its own, which this is."""
    monkeypatch.setenv("BIOTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels.select, "_chosen", {})
    monkeypatch.setattr(kernels.verification, "_verified", {})
    return tmp_path / "cache"
