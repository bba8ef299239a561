"""The docs site: what it is made of, as far as that shows without building it (.ci/run builds it)."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MOST_KIB = 200
"""Of a picture: every clone has it."""


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, in which some values are Python's."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    return read


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / ".ci" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def listed(nav: Any) -> list[str]:
    """Every page of a part of the navigation."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in listed(part)]


def test_every_page_is_listed_once(config: dict[str, Any]) -> None:
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    outside = ["changelog.md", "contributing.md", "kernels.md"]
    assert sorted(listed(config["nav"])) == sorted([*pages, *outside])


def test_every_picture_of_the_gallery_is_shown_and_small() -> None:
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    for picture in (DOCS / "images" / "gallery").iterdir():
        assert f"images/gallery/{picture.name}" in text
        assert picture.stat().st_size <= MOST_KIB * 1024


def test_nothing_is_loaded_from_elsewhere(config: dict[str, Any]) -> None:
    assert config["theme"]["font"] is False
    assert all("//" not in file for key in ("extra_css", "extra_javascript") for file in config.get(key, []))
    assert "data-md-component=" not in (ROOT / ".ci/theme/partials/source.html").read_text().split("-#}")[-1]


@pytest.mark.parametrize(
    ("page", "link", "leads_to"),
    [
        ("study.md", "[a](../search_spaces/aa.yaml)", "[a](https://code.example/blob/main/search_spaces/aa.yaml)"),
        ("study.md", "[a](../biotune/io/)", "[a](https://code.example/tree/main/biotune/io)"),
        ("study.md", "[a](../kernels/README.md#the-pieces)", "[a](kernels.md#the-pieces)"),
        ("reliability.md", "[a](benchmarks/)", "[a](benchmarks/README.md)"),
        ("benchmarks/README.md", "[a](../reliability.md)", "[a](../reliability.md)"),
        ("changelog.md", "[a](docs/tasks.md#a) `[b](c)`", "[a](tasks.md#a) `[b](c)`"),
        ("study.md", "[a](#here) [b](https://elsewhere.example)", "[a](#here) [b](https://elsewhere.example)"),
    ],
)
def test_links_lead_to_pages_or_into_the_repository(hooks: ModuleType, page: str, link: str, leads_to: str) -> None:
    assert hooks.led(link, page, "https://code.example") == leads_to


def test_a_link_to_nothing_stops_the_build(hooks: ModuleType) -> None:
    with pytest.raises(hooks.PluginError, match="nowhere"):
        hooks.led("[a](../nowhere.yaml)", "study.md", "https://code.example")


def test_a_notebook_becomes_a_page(hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jupytext")
    monkeypatch.delenv("EXECUTED_NOTEBOOKS", raising=False)
    file = tmp_path / "one.py"
    file.write_text("# %% [markdown]\n# # First\n# Words.\n\n# %%\n1 + 1\n")
    title, offer, rest = hooks.notebook(file).split("\n\n", 2)
    assert title == "# First"
    assert offer.startswith("[Download one.py](one.py)")
    assert rest == "Words.\n\n```python\n1 + 1\n```"


def test_commands_are_those_of_an_installed_package(hooks: ModuleType) -> None:
    shown = hooks.installed("python tune_main.py --space search_spaces/seq_mem.yaml --dry-run")
    assert shown == "biotune run --space seq_mem --dry-run"


@pytest.mark.parametrize(
    ("output", "page"),
    [
        ({"data": {"text/plain": "2 < 3"}}, "<pre>2 &lt; 3</pre>"),
        ({"data": {"text/html": "<table>\n\n</table>", "text/plain": "no"}}, "<table>\n</table>"),
        ({"text": "printed\n"}, "<pre>printed\n</pre>"),
        ({"data": {"image/png": "AAAA\n"}}, '<img alt="figure" src="data:image/png;base64,AAAA">'),
    ],
)
def test_what_a_cell_shows_is_on_the_page(hooks: ModuleType, output: dict[str, Any], page: str) -> None:
    assert hooks.shown(output) == f'<div class="output">\n{page}\n</div>'
