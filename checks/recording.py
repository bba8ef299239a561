"""A pytest plugin that records every test as it starts and ends, so that the record survives the death of the process.

    python -m pytest -p checks.recording --record=FILE --share=0/4 tests/kernels

FILE gets a line of JSON for each event. Tests that FILE records as started are left out: so the same command goes on
after a test that hung or crashed. `--share=K/N` takes every N-th test, from the K-th. (With a blank in place of the
`=`, pytest would look for its own settings in the folder of FILE.)
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

_MOST = 6000
"""How many characters of a failure's traceback are kept, from its end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, required=True)
    parser.addoption("--share", default="0/1")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recording(config), "recording")


class Recording:
    """The record of one process."""

    def __init__(self, config: pytest.Config) -> None:
        self.file: Path = config.getoption("record")
        self.mine, self.of = (int(part) for part in config.getoption("share").split("/"))
        self.seconds, self.detail, self.skipped = 0.0, "", False

    def write(self, **event: Any) -> None:
        with self.file.open("a") as stream:
            stream.write(json.dumps(event) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            text = report.longreprtext
            self.write(test=report.nodeid, outcome="failed", seconds=0.0, message=_error(text), detail=text[-_MOST:])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        events = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        started = {event["started"] for event in events if "started" in event}
        items[:] = [item for item in items[self.mine :: self.of] if item.nodeid not in started]
        self.write(collected=[item.nodeid for item in items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.seconds, self.detail, self.skipped = time.perf_counter(), "", False
        self.write(started=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.skipped |= report.skipped
        if report.failed:
            self.detail = self.detail or report.longreprtext or f"failed in {report.when}"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        outcome = "failed" if self.detail else "skipped" if self.skipped else "passed"
        seconds = round(time.perf_counter() - self.seconds, 2)
        detail = self.detail[-_MOST:]
        self.write(test=nodeid, outcome=outcome, seconds=seconds, message=_error(self.detail), detail=detail)
        torch = sys.modules.get("torch")
        if self.detail and torch is not None and torch.cuda.is_available():
            try:
                torch.cuda.synchronize()
            except RuntimeError as error:  # every later call to the GPU would fail in the same way
                pytest.exit(f"this process has lost the GPU: {error}")


def _error(text: str) -> str:
    """The error's first line, which pytest marks with an E."""
    lines = text.splitlines()
    errors = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (errors or lines[-1:] or [""])[0]
