"""Ray's dashboard in a real browser while a study runs: trials and confirmed blocks are found on it by their names.

Screenshots are kept for looking at where BIOTUNE_SCREENSHOTS names a folder.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian: apt-get install chromium"),
]

PATIENCE = 90_000.0
"""Milliseconds that the page is given to show something: a study starts, and the dashboard asks Ray now and then."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def watched(head: Any, browser: Browser, space: Path) -> Iterator[Page]:
    """The dashboard while a study runs, opened with the token; then the study is interrupted."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000}, base_url=f"http://{head.dashboard}")
    page.set_default_timeout(PATIENCE)
    command = [sys.executable, "tune_main.py", "--space", space, "--address", head.address]
    log = space.with_suffix(".log")
    with log.open("w") as out:
        study = subprocess.Popen(
            [*command, "--output", space.parent / "results"], env=head.environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            page.goto("/")
            page.get_by_placeholder("authentication token").fill(head.token)
            page.get_by_role("button", name="Submit").click()
            yield page
        finally:
            page.close()
            study.send_signal(signal.SIGINT)
            study.wait(60)
    printed = log.read_text()
    assert f"Dashboard: http://{head.dashboard}\n" in printed
    assert "--resume" in printed


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("BIOTUNE_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"dashboard-{name}.png", full_page=True)


def test_a_trials_process_carries_its_name_and_leads_to_its_actor_and_its_log(
    head: Any, browser: Browser, write_space: Callable[..., Path]
) -> None:
    endless = write_space(("max_epochs: 9, grace: 1", "max_epochs: 1000000, grace: 1000000"))
    with watched(head, browser, endless) as page:
        page.goto("/#/cluster")
        process = page.get_by_role("link").filter(has_text=re.compile(r"^ray::small/(real|rewired)/\1-\d{4}$")).first
        trial = process.inner_text().removeprefix("ray::")
        keep(page, "cluster")
        process.click()
        expect(page.get_by_text("small", exact=True)).to_be_visible()
        page.get_by_role("tab", name="stdout").click()
        expect(page.get_by_text(f"{trial} begins")).to_be_visible()
        keep(page, "actor")
        page.goto("/#/actors")
        expect(page.get_by_role("cell", name="small", exact=True).first).to_be_visible()
        keep(page, "actors")


def test_confirmed_blocks_are_tasks_of_the_job(head: Any, browser: Browser, write_space: Callable[..., Path]) -> None:
    endless = write_space(("max_epochs: 6", "max_epochs: 1000000"))
    with watched(head, browser, endless) as page:
        page.goto("/#/cluster")
        block = re.compile(r"small/(real|rewired)/\1-[0-9a-f]{12}-\d{4}")
        expect(page.get_by_text(block).first).to_be_visible()
        page.goto("/#/jobs")
        page.get_by_role("row").filter(has_text="tune_main.py").get_by_role("link").first.click()
        page.get_by_text("Task Table").click()
        page.get_by_label("Name", exact=True).fill("small/")
        expect(page.get_by_role("cell").filter(has_text=block).first).to_be_visible()
        keep(page, "tasks")
