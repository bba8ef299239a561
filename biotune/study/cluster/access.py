"""Access to Ray: its token and files are kept from other users, an open cluster is only joined if the user says so.

Whoever reaches the ports of a cluster that asks for no token can run any code on it.
"""

import os
import secrets
import socket
import stat
import sys
import urllib.error
import urllib.request
from pathlib import Path

import ray

from biotune.errors import UserError
from biotune.study.ray_internals import GUARDED_PAGE, SOCKET, ray_folders


def token_file() -> Path:
    """Where Ray looks for its token, unless `RAY_AUTH_TOKEN` holds it."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"


def keep_token_private(make: bool) -> None:
    """Makes Ray's token file readable by its owner alone; Ray itself would make it readable by everybody.

    Args:
        make: whether to make a token if there is none, for a cluster that is started here.

    Raises:
        UserError: the file cannot be made, or not kept to its owner; or a cluster is started here, and the environment
            says that it is to ask for no token.
    """
    mode = os.environ.get("RAY_AUTH_MODE") or "token"
    if make and mode.lower() != "token":
        raise UserError(
            f"RAY_AUTH_MODE={mode} in the environment: whoever reaches this machine could run code as you while the "
            "study runs; unset it, or make it token"
        )
    if os.environ.get("RAY_AUTH_TOKEN") or mode.lower() != "token":
        return
    file = token_file()
    try:
        if file.exists():
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
        elif make:
            file.parent.mkdir(parents=True, exist_ok=True)
            # first under another name, so that no other process reads half a token
            temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_hex(32))
            try:
                os.link(temporary, file)
            except FileExistsError:
                file.chmod(0o600)  # another process was first, and its token is used
            finally:
                temporary.unlink()
    except OSError as error:
        raise UserError(
            f"{file}: Ray's token cannot be kept there ({error.strerror}); give another file in RAY_AUTH_TOKEN_PATH"
        ) from None


def private_folder() -> Path:
    """Makes the folder of a Ray that is started here, where its user alone gets at it; Ray's own are open to everybody.

    Raises:
        UserError: it cannot be made, is another user's, or its path is too long for Ray.
    """
    _, folder = ray_folders()
    private = folder.parent
    advice = "give a short path, of a folder of your own, in RAY_TMPDIR"
    longest = (103 if sys.platform == "darwin" else 107) - len(SOCKET) - 1
    if len(os.fsencode(folder)) > longest:
        raise UserError(
            f"{folder}: Ray's sockets cannot have a path that long ({len(os.fsencode(folder))} bytes, at most "
            f"{longest}); {advice}"
        )
    try:
        private.mkdir(0o700, parents=True, exist_ok=True)
        found = private.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UserError(f"{private}: is not your own folder, so Ray's files would not be kept to you; {advice}")
        private.chmod(0o700)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"{private}: Ray's files cannot be kept there ({error.strerror}); {advice}") from None
    return folder


def require_guarded(dashboard: str | None) -> None:
    """Makes sure that the joined cluster asks for a token, unless it has no machine but this one.

    Args:
        dashboard: HOST:PORT of the cluster's dashboard, which answers 401 to a request without a token.

    Raises:
        UserError: the cluster is open, or it cannot be found out whether it is.
    """
    addresses = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    elsewhere = sorted(address for address in addresses if not _is_here(address))
    if not elsewhere:
        return
    allow = "start it with a token (docs/clusters.md), or give --allow-open-cluster"
    if not dashboard:
        raise UserError(f"--address: the cluster has no dashboard to tell whether it asks for a token; {allow}")
    try:
        # without a proxy, whose answer would say nothing about the cluster
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(f"http://{dashboard}{GUARDED_PAGE}", timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return
        raise UserError(
            f"--address: http://{dashboard} answered {error.code}, not whether it is open; {allow}"
        ) from None
    except OSError as error:
        raise UserError(f"--address: http://{dashboard} does not answer ({error}); {allow}") from None
    raise UserError(
        f"--address: the cluster ({', '.join(elsewhere)}) asks for no token, so that whoever reaches it can run code "
        f"on it; {allow}"
    )


def _is_here(address: str) -> bool:
    """Whether an address is this machine's, which is so if a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
