"""What mkdocs does to the pages besides, so that the same files read well beside the code and on the site.

- A few files from outside docs/ become pages, and links that leave docs/ lead to the repository.
- docs/notebooks/*.py (cells between `# %%`) become pages. If EXECUTED_NOTEBOOKS names a folder that
  `python -m checks.notebooks --output FOLDER` has filled, they show what came out.
"""

import os
import re
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FROM_OUTSIDE = {
    "changelog.md": ROOT / "CHANGELOG.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "kernels.md": ROOT / "kernels" / "README.md",
}
"""Page -> the file that it is made of."""

NOTEBOOKS = {
    f"notebooks/{name}.md": DOCS / "notebooks" / f"{name}.py"
    for name in (
        "first_study",
        "own_connectome",
        "own_task",
        "reading_critically",
        "inside_a_network",
        "coming_from_conn2res",
        "coming_from_bio_rnn_mem",
    )
}
"""Page -> the file that it is made of, in the order in which they are listed."""

LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=\))")
"""The relative path of a Markdown link, and its anchor."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the notebooks."""
    if NOTEBOOKS and config.nav is not None:
        start = next(index for index, section in enumerate(config.nav) if "How to" in section)
        config.nav.insert(start, {"Notebooks": list(NOTEBOOKS)})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of other files."""
    for page, file in FROM_OUTSIDE.items():
        files.append(File.generated(config, page, content=file.read_text(encoding="utf-8")))
    for page, file in NOTEBOOKS.items():
        files.append(File.generated(config, page, content=notebook(file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that leave docs/ to a page made of the file, or to the file in the repository."""
    uri, repository = page.file.src_uri, str(config.repo_url)
    if file := FROM_OUTSIDE.get(uri) or NOTEBOOKS.get(uri):
        page.edit_url = f"{repository}/edit/main/{file.relative_to(ROOT)}"
    return led(markdown if file else installed(markdown), uri, repository)


def installed(markdown: str) -> str:
    """Commands as whoever has installed the package gives them: in a clone they name files of it."""
    markdown = re.sub(r"--space search_spaces/(\w+)\.yaml", r"--space \1", markdown)
    return markdown.replace("python tune_main.py", "biotune run")


def led(markdown: str, page: str, repository: str) -> str:
    """A page's Markdown, its links as the site needs them.

    Raises:
        PluginError: a link leads nowhere.
    """
    here = DOCS / page
    source = FROM_OUTSIDE.get(page, here)

    def lead(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / found[1]))
        if target == DOCS / "benchmarks":
            target /= "README.md"
        for name, made_of in (FROM_OUTSIDE | NOTEBOOKS).items():
            if target == made_of:
                target = DOCS / name
        if target.is_relative_to(DOCS) and not target.is_dir():
            return os.path.relpath(target, here.parent) + (found[2] or "")
        if not target.exists():
            raise PluginError(f"{source.relative_to(ROOT)}: {found[1]} is neither a page nor a file of the repository")
        kind = "tree" if target.is_dir() else "blob"
        return f"{repository}/{kind}/main/{target.relative_to(ROOT)}{found[2] or ''}"

    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.M | re.S)
    # code is left alone
    return "".join(part if index % 2 else LINK.sub(lead, part) for index, part in enumerate(parts))


def notebook(file: Path) -> str:
    """A notebook as Markdown, with what its cells showed if it was run."""
    import jupytext

    executed = os.environ.get("EXECUTED_NOTEBOOKS")
    content = jupytext.read(Path(executed) / f"{file.stem}.ipynb" if executed else file)
    parts = []
    for cell in content.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts += [f"```python\n{cell.source}\n```", *(shown(output) for output in cell.get("outputs", ()))]
    text = "\n\n".join(part for part in parts if part)
    offer = (
        f"[Download {file.name}]({file.name}){{ download }}: `jupytext --to ipynb {file.name}` makes a notebook of it."
    )
    return re.sub(r"^# .+$", lambda found: f"{found[0]}\n\n{offer}\n", text, count=1, flags=re.M)


def shown(output: Any) -> str:
    """An output of a cell, as HTML within Markdown."""
    data = output.get("data", {})
    if "image/svg+xml" in data:
        held = "".join(data["image/svg+xml"])
    elif "image/png" in data:
        held = f'<img alt="figure" src="data:image/png;base64,{data["image/png"].strip()}">'
    elif "text/html" in data:
        held = re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]))  # an empty line would end the HTML
        held = re.sub(r'<p>[^<]*<a href="file:.*?</p>', "", held)  # it was on the machine that ran it
    elif text := output.get("text") or data.get("text/plain"):
        held = f"<pre>{escape(''.join(text))}</pre>".replace("\n\n", "\n&#8203;\n")
    else:
        return ""
    return f'<div class="output">\n{held}\n</div>'
