"""A user's file is read in a process of its own: what a damaged one makes of native code must not end a study.

The process is started with the first file, reads one file after another, and is started anew if a file ended it. The
time that a file may take is limited, and on Linux the memory of the process: most of what is free when it starts.
"""

import atexit
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from biotune.connectome.readers.edges import RawEdges
from biotune.connectome.readers.reading import Reading
from biotune.errors import UserError

SECONDS = 900.0
"""That one file may take."""

MEMORY_SHARE = 0.8
"""Of the memory that is free when the process starts: how much of it the process may take."""


class ReadInChildError(Exception):
    """What the child says of an error, for whoever looks for its cause."""


class Child:
    """A process that reads files.

    Args:
        seconds: that one file may take.
        memory: bytes that the process may take on Linux, beside what it starts with; None: `MEMORY_SHARE`.
    """

    def __init__(self, seconds: float = SECONDS, memory: int | None = None) -> None:
        self.seconds = seconds
        self.memory = memory
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def read(self, path: Path, reading: Reading) -> tuple[RawEdges, str]:
        """The edges of a file, and its SHA-256.

        Raises:
            UserError: the file can't be read, or holds no connectome; reading it crashed, or took too much time or
                memory.
        """
        with self._lock, tempfile.TemporaryDirectory(prefix="biotune-") as folder:
            result = Path(folder) / "edges.npz"
            answer = self._ask({"path": str(path), "reading": asdict(reading), "result": str(result)}, path)
            if "error" in answer:
                raise UserError(answer["error"]) from ReadInChildError(answer["traceback"])
            with np.load(result, allow_pickle=False) as arrays:
                ends = {name: arrays[name] for name in ("source", "target", "weight")}
            labels = None if answer["labels"] is None else tuple(answer["labels"])
            return RawEdges(answer["size"], **ends, labels=labels, notes=tuple(answer["notes"])), answer["sha256"]

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None
        if self._said is not None:
            self._said.close()
            self._said = None

    def _ask(self, request: dict[str, Any], path: Path) -> dict[str, Any]:
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer = self._answers.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            raise UserError(
                f"{path}: reading it took more than {self.seconds:g} s; write the edges as Parquet, or as a sparse .npz"
            ) from None
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise self._ended(process, path)
        return json.loads(answer)

    def _ended(self, process: "subprocess.Popen[str]", path: Path) -> UserError:
        code = process.wait()
        assert self._said is not None
        self._said.seek(0)
        said = self._said.read()
        self.close()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        error = UserError(f"{path}: the process that read it ended ({how}): the file is damaged, or needs more memory")
        error.__cause__ = ReadInChildError(said)
        return error

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  # open as long as the process
            memory = int(psutil.virtual_memory().available * MEMORY_SHARE) if self.memory is None else self.memory
            self._process = subprocess.Popen(
                [sys.executable, "-c", "import sys; from biotune.connectome.readers.child import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                start_new_session=True,  # Ctrl-C is the parent's; it ends with the parent, whose pipe closes
                env={**os.environ, "BIOTUNE_READER_MEMORY": str(memory), "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            assert self._process.stdout is not None
            self._answers = queue.SimpleQueue()
            threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()
        return self._process


def _pass_on(lines: IO[str], answers: "queue.SimpleQueue[str]") -> None:
    """Puts each line into the queue, and an empty one at the end."""
    for line in lines:
        answers.put(line)
    answers.put("")


def serve() -> None:
    """What the child does: reads the files that it is asked for, a line of JSON each, until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    _limit_memory(int(os.environ["BIOTUNE_READER_MEMORY"]))
    from biotune.connectome.readers.read import read_edges  # only now, so that its memory counts

    for line in sys.stdin:
        request = json.loads(line)
        try:
            content = Path(request["path"]).read_bytes()
            edges = read_edges(content, request["path"], Reading(**request["reading"]))
            np.savez(request["result"], source=edges.source, target=edges.target, weight=edges.weight)
            answer: dict[str, Any] = {
                "size": edges.size,
                "labels": edges.labels,
                "notes": edges.notes,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        except UserError as error:
            answer = {"error": str(error), "traceback": traceback.format_exc()}
        except (OSError, ValueError) as error:
            reason = f"{request['path']}: {getattr(error, 'strerror', None) or error}; name the connectome's file"
            answer = {"error": reason, "traceback": traceback.format_exc()}
        except MemoryError:
            reason = f"{request['path']}: reading it takes more memory than is free"
            answer = {"error": reason, "traceback": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def _limit_memory(beside: int) -> None:
    """Limits the address space to what the process has and so many bytes beside, if the platform can."""
    if sys.platform == "linux":
        import resource

        has = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (has + beside, has + beside))


CHILD = Child()
"""The process that reads this one's files."""

atexit.register(CHILD.close)
