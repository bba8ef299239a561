"""Finding a published file: in a data folder, the installed bio2art, the cache, or by download.

Environment:
    BIOTUNE_DATA           a folder in the cache's layout (`bio2art/C_Marmoset_Normalized.npy`, ...), looked at first
    BIOTUNE_CACHE          the cache; by default `biotune` in the system's cache folder
    BIOTUNE_DOWNLOAD_BASE  a mirror, used instead of https://raw.githubusercontent.com and of any other host

pooch, and PyTorch with the kernels' package, are imported late: only who needs a published file needs them.
"""

import hashlib
import importlib.util
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from biotune.errors import UserError


@dataclass(frozen=True)
class DataFile:
    """One published file.

    Args:
        path: its path in a data folder and in the cache, with forward slashes, e.g. `bio2art/C_Drosophila.npy`.
        sha256: digest of its content.
        address: repository, commit and path on GitHub; the whole URL if it is elsewhere.
    """

    path: str
    sha256: str
    address: str


GITHUB = "https://raw.githubusercontent.com"
CONNECT_SECONDS = 4.0
"""How long it takes at most to notice that there is no network."""
READ_SECONDS = 30.0


@dataclass(frozen=True)
class Found:
    """A file's content, its digest checked, and where it was found."""

    content: bytes
    kind: str
    path: str
    url: str | None


class Unavailable(UserError):
    """A file that was found nowhere; `tried` says for each place why."""

    def __init__(self, file: DataFile, tried: list[str]) -> None:
        super().__init__(f"{file.path} is not available: {'; '.join(tried)}; set BIOTUNE_DATA to a folder that has it")
        self.tried = tried


def obtain(file: DataFile, *, download: bool = True) -> Found:
    """The content of a published file from the first place that has it, with its SHA-256 checked.

    Args:
        file: which one.
        download: whether it may be downloaded (into the cache) if no other place has it.

    Raises:
        Unavailable: no place has it.
        UserError: a place has a file of that name with other content, which is never ignored.
    """
    tried: list[str] = []
    for kind, path in _local_places(file, tried):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != file.sha256:
                raise UserError(
                    f"{path}: its SHA-256 is {digest}, that of the published file is {file.sha256}; "
                    "remove it, or put the published file there"
                )
            return Found(content, kind, str(path), None)
        tried.append(f"{kind} has no {path}")
    if not download:
        raise Unavailable(file, tried)
    return _download(file, tried)


def _local_places(file: DataFile, tried: list[str]) -> list[tuple[str, Path]]:
    from biotune_kernels.memory import cache_folder

    places = []
    folder = os.environ.get("BIOTUNE_DATA")
    if folder:
        places.append(("BIOTUNE_DATA", Path(folder).expanduser() / file.path))
    else:
        tried.append("BIOTUNE_DATA is not set")
    if file.path.startswith("bio2art/"):
        spec = importlib.util.find_spec("bio2art")  # finds the package's folder without running its code
        if spec is not None and spec.submodule_search_locations:
            root = Path(next(iter(spec.submodule_search_locations)))
            places.append(("bio2art", root / "connectomes" / Path(file.path).name))
        else:
            tried.append("the bio2art package is not installed")
    places.append(("cache", cache_folder() / file.path))
    return places


def _download(file: DataFile, tried: list[str]) -> Found:
    import pooch

    from biotune_kernels.memory import cache_folder

    url = file.address if "://" in file.address else f"{GITHUB}/{file.address}"
    mirror = os.environ.get("BIOTUNE_DOWNLOAD_BASE")
    if mirror:
        url = mirror.rstrip("/") + urlsplit(url).path
    destination = cache_folder() / file.path
    try:
        _resolve(url)
        pooch.retrieve(
            url,
            known_hash=f"sha256:{file.sha256}",
            fname=destination.name,
            path=destination.parent,
            downloader=pooch.HTTPDownloader(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        )
    except OSError as error:  # requests' errors are OSErrors too
        raise Unavailable(file, [*tried, f"download of {url} failed ({_reason(error)})"]) from error
    except ValueError as error:
        raise UserError(f"{url}: the download's SHA-256 is not that of the published file, {file.sha256}") from error
    return Found(destination.read_bytes(), "download", str(destination), url)


def _resolve(url: str) -> None:
    """Looks up the host's name first: the one step of a download for which no library has a time limit."""
    parts = urlsplit(url)
    if parts.scheme in getproxies():
        return  # the proxy does it
    failure: list[OSError] = [TimeoutError(f"no answer to {parts.hostname} within {CONNECT_SECONDS:g} s")]

    def look_up() -> None:
        try:
            socket.getaddrinfo(parts.hostname, parts.port or 443)
            failure.clear()
        except OSError as error:
            failure[:] = [OSError(f"{parts.hostname}: {error.strerror}")]

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if failure:
        raise failure[0]


def _reason(error: OSError) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    return str(error) if type(error).__module__ == "builtins" else type(error).__name__
