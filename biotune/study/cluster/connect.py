"""Starting Ray here or joining a cluster, and what its nodes have and can reach."""

import logging
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from biotune.errors import StorageError, UserError
from biotune.io.files import replacing
from biotune.io.storage import BucketPath, Place
from biotune.study.cluster.access import keep_token_private, private_folder, require_guarded
from biotune.study.ray_internals import reason_line


@contextmanager
def connected(address: str | None, allow_open: bool = False, listen: str = "127.0.0.1") -> Iterator[str | None]:
    """Starts Ray here, or joins the cluster at `address`, until the end of the context.

    Args:
        address: HOST:PORT, auto, or None to start Ray here.
        allow_open: join a cluster elsewhere even if it asks for no token.
        listen: the address that the dashboard listens on, if Ray is started here.

    Yields:
        The URL of the dashboard, if there is one.

    Raises:
        UserError: there is no cluster at the address, it is open to everybody, or Ray cannot start here.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the study itself reports how trials end
    if address is not None and address != "auto":
        _require_listening(address)
    keep_token_private(make=address is None)
    try:
        context = ray.init(
            address=address or "local",  # whatever RAY_ADDRESS says
            include_dashboard=None if address else True,
            dashboard_host=listen,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            _temp_dir=None if address else str(private_folder()),
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        if address is None:
            raise UserError(f"Ray cannot start here ({reason})") from None
        raise UserError(
            f"the Ray cluster at {address} cannot be joined ({reason}). If it asks for a token, set "
            "RAY_AUTH_MODE=token and put the token in ~/.ray/auth_token, or in the file that RAY_AUTH_TOKEN_PATH "
            "gives; `ray status` then shows the cluster"
        ) from None
    try:
        url = context.dashboard_url
        if address is not None and not allow_open:
            require_guarded(url)
        if url and address is None and listen not in ("0.0.0.0", "::"):
            host = f"[{listen}]" if ":" in listen else listen
            url = f"{host}:{url.rpartition(':')[2]}"  # Ray gives the machine's own address, on which it may not listen
        yield f"http://{url}" if url else None
    finally:
        ray.shutdown()


def _require_listening(address: str) -> None:
    """Makes sure that something listens at an address; Ray itself would try for minutes.

    Raises:
        UserError: nothing does, or it is not an address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise UserError(f"--address {address!r}: give it as HOST:PORT, such as 10.0.0.1:6379, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UserError(f"no Ray cluster at {address} ({error}); `ray status` shows a running one") from None


def nodes() -> list[Mapping[str, float]]:
    """What each node of the cluster has, by Ray's names ("CPU", "GPU")."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def places(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """The number of trials that a node has room for; a fraction of a GPU is taken from a single GPU."""
    fitting = int(node.get("CPU", 0.0) // cpus)
    if not gpus:
        return fitting
    there = node.get("GPU", 0.0)
    return min(fitting, int(there * int(1 / gpus) if gpus < 1 else there // gpus))


_SHARED = "; give as --output or --storage a folder that all machines share, or as --storage a bucket"


def require_reachable(kept: Place) -> None:
    """Makes sure that all workers can keep checkpoints in a place.

    Every node reads a file that is written from here, and writes and removes a file of its own.

    Raises:
        UserError: this machine cannot write there, or a node cannot.
    """
    content = secrets.token_hex(16)
    probe = kept / f".seen-by-all-{content}"
    with replacing(probe) as temporary:
        temporary.write_text(content)
    try:
        if probe.read_bytes().decode() != content:
            raise UserError(f"{kept}: what was written there is read back as something else")
        here = ray.get_runtime_context().get_node_id()
        looks = []
        for node in ray.nodes():
            # on a disk this node's workers see what this process sees; for a bucket they need their own credentials
            known = node["NodeID"] == here and not isinstance(kept, BucketPath)
            if node["Alive"] and node["Resources"].get("CPU", 0) > 0 and not known:
                there = _sees.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
                looks.append((node["NodeManagerAddress"], there.remote(probe, content)))
        blind: dict[str, set[str]] = {}
        for address, look in looks:
            try:
                reason = ray.get(look)
            except RayError as error:
                reason = reason_of(error)
            if reason:
                blind.setdefault(reason, set()).add(address)
    finally:
        probe.unlink(missing_ok=True)
    if blind:
        what = "; ".join(f"on {', '.join(sorted(addresses))}: {reason}" for reason, addresses in blind.items())
        shared = "" if isinstance(kept, BucketPath) else _SHARED
        raise UserError(f"{kept}: trials cannot keep their checkpoints there ({what}){shared}")


@ray.remote(num_cpus=0, max_retries=0)
def _sees(probe: Place, content: str) -> str:
    """Why this node cannot keep files beside a probe; empty if it can."""
    try:
        if probe.read_bytes().decode() != content:
            return "it is another folder there"
        own = probe.parent / f"{probe.name}-{ray.get_runtime_context().get_node_id()}"
        own.write_bytes(content.encode())
        own.unlink()
    except FileNotFoundError:
        return "what was just written there is not seen"
    except (OSError, StorageError) as error:
        return str(error)
    return ""


def reason_of(error: Exception) -> str:
    """Why something that ran on a worker failed, in one line."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, RayError):
        return reason_line(cause)
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return f"{type(cause).__name__}: {lines[0]}"


def describe_nodes() -> list[dict[str, float]]:
    """What each node of the cluster has, for `environment.json`."""
    return [{key: value for key, value in node.items() if key in ("CPU", "GPU", "memory")} for node in nodes()]
