"""The studies that come with biotune: `--space seq_mem` names one as well as its file does.

In a clone they are the folder search_spaces/; setup.py puts the same files into the package that is installed.
"""

import os.path
from pathlib import Path

from biotune.errors import UserError, suggestion

_PACKAGE = Path(__file__).parents[2]
_FOLDERS = (_PACKAGE / "search_spaces", _PACKAGE.parent / "search_spaces")
"""Where they are: installed, and in a clone, whether or not it is installed as editable."""


def example_names() -> tuple[str, ...]:
    """The names of the studies that come with biotune, in alphabetical order."""
    return tuple(_examples())


def example(name: str) -> Path:
    """The YAML file of a study that comes with biotune.

    Args:
        name: one of `example_names()`, such as `seq_mem`.

    Raises:
        UserError: there is none of that name; it names those that there are.
    """
    known = _examples()
    if name not in known:
        raise UserError(
            f"{name!r} is neither a file nor a study that comes with biotune; {suggestion(name, known)}"
            f"those are: {', '.join(known)}"
        )
    return known[name]


def study_file(given: Path | str) -> Path:
    """The file that a user means: the one given, or the example of that name if there is no such file.

    Args:
        given: a path; or a name without a folder and without a suffix, as of `example`.

    Raises:
        UserError: it is such a name, and there is neither a file nor an example that it fits.
    """
    file = Path(given)
    is_name = bool(file.name) and str(file) == file.stem and not os.path.isfile(file)
    return example(file.name) if is_name else file


def _examples() -> dict[str, Path]:
    """Name -> file."""
    folder = next((one for one in _FOLDERS if one.is_dir()), _FOLDERS[0])
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
