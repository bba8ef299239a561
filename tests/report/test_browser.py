"""The page in a real browser. Screenshots are kept for looking at where BIOTUNE_SCREENSHOTS names a folder."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; Debian: apt-get install chromium")

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURE = """<script>document.querySelectorAll("details").forEach(d => d.open = true);
addEventListener("load", () => parent.postMessage({
  wider: document.documentElement.scrollWidth - innerWidth,
  figures: [...document.querySelectorAll("figure svg")].map(f => f.getBoundingClientRect().width),
  paper: getComputedStyle(document.documentElement).backgroundColor,
  ink: getComputedStyle(document.querySelector("figure svg")).color,
}, "*"))</script>"""
FRAME = """<body><iframe src="page.html" style="width: {width}px; height: 900px; border: 0"></iframe><pre></pre>
<script>addEventListener("message", e => {{ document.querySelector("pre").textContent = JSON.stringify(e.data) }})
</script>"""


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--enable-logging=stderr", f"--user-data-dir={profile}", *options]
    return subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=120)


def scheme(name):
    return f"--blink-settings=preferredColorScheme={['dark', 'light'].index(name)}"


def measured(page, tmp_path, width, colours="light"):
    """What a script finds in the page at this width."""
    (tmp_path / "page.html").write_text(POLICY.sub("", page.read_text()).replace("</body>", f"{MEASURE}</body>"))
    (tmp_path / "frame.html").write_text(FRAME.format(width=width))
    seen = browse(
        tmp_path / "frame.html", tmp_path / "profile", scheme(colours), "--virtual-time-budget=5000", "--dump-dom"
    )
    found = re.search(r"<pre>(.+?)</pre>", seen.stdout)
    assert found is not None
    return json.loads(unescape(found[1]))


def test_opens_without_a_request_or_an_error(reported, tmp_path):
    directory, _ = reported
    page = directory / "report" / "index.html"
    # the policy lets the browser refuse every request; it would say so on the console
    assert "default-src 'none'" in POLICY.search(page.read_text())[0]
    seen = browse(page, tmp_path / "profile", "--dump-dom")
    assert "CONSOLE" not in seen.stderr
    assert "<h1>" in seen.stdout


def test_an_intruding_request_would_be_seen(reported, tmp_path):
    directory, _ = reported
    page = (directory / "report" / "index.html").read_text()
    (tmp_path / "page.html").write_text(page.replace("</body>", '<img src="http://127.0.0.1:9/x.png"></body>'))
    assert "CONSOLE" in browse(tmp_path / "page.html", tmp_path / "profile", "--dump-dom").stderr


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_fits_the_screen_with_every_figure_in_it(reported, tmp_path, width):
    directory, _ = reported
    found = measured(directory / "report" / "index.html", tmp_path, width)
    assert found["wider"] <= 0
    assert len(found["figures"]) == len(list((directory / "report" / "figures").glob("*.svg")))
    assert all(300 <= figure <= 640 for figure in found["figures"])


@pytest.mark.parametrize("width", [360, 1280])
def test_several_studies_fit_the_screen_too(of_several, tmp_path, width):
    found = measured(of_several.page, tmp_path, width)
    assert found["wider"] <= 0
    assert len(found["figures"]) == 1
    assert "CONSOLE" not in browse(of_several.page, tmp_path / "other", "--dump-dom").stderr


def test_follows_dark_and_light(reported, tmp_path):
    directory, _ = reported
    light, dark = (
        measured(directory / "report" / "index.html", tmp_path, 800, colours) for colours in ("light", "dark")
    )
    assert light["paper"] == "rgb(253, 253, 254)"
    assert dark["paper"] == "rgb(22, 23, 26)"
    assert light["ink"] != dark["ink"]


@pytest.mark.slow
def test_print_unfolds_what_is_folded_on_the_screen(reported, tmp_path):
    page = (reported[0] / "report" / "index.html").read_text()
    (tmp_path / "folded.html").write_text(re.sub(r"details::details-content {[^}]*}", "", page))

    def pages(file, name):
        browse(file, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / name}")
        return len(re.findall(rb"/Type /Page\b", (tmp_path / name).read_bytes()))

    unfolded = pages(reported[0] / "report" / "index.html", "unfolded.pdf")
    assert unfolded > pages(tmp_path / "folded.html", "folded.pdf") + 2


@pytest.mark.skipif("BIOTUNE_SCREENSHOTS" not in os.environ, reason="BIOTUNE_SCREENSHOTS names no folder")
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_screenshots_are_kept(reported, of_several, tmp_path, colours):
    directory, _ = reported
    folder = Path(os.environ["BIOTUNE_SCREENSHOTS"]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "phone.html").write_text(
        f'<body style="margin: 0"><iframe src="{(directory / "report" / "index.html").as_uri()}" '
        'style="width: 390px; height: 3000px; border: 0"></iframe>'
    )
    for name, page, size in (
        ("wide", directory / "report" / "index.html", "1100,3000"),
        ("phone", tmp_path / "phone.html", "500,3000"),
        ("several", of_several.page, "1100,2000"),
    ):
        file = folder / f"report-{name}-{colours}.png"
        browse(page, tmp_path / "profile", scheme(colours), f"--screenshot={file}", f"--window-size={size}")
        assert file.stat().st_size > 50_000
