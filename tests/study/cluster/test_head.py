"""A head that no longer answers is noticed, and the study ends with a line that says what happened."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import ray

from biotune.errors import UserError
from biotune.study.cluster.head import SILENCE, WIND_UP, watched_head


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Listens as the head of a cluster does; the process takes it for the one that it has joined."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    return listening


def patiently(lost: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not lost() and time.monotonic() < deadline:
        time.sleep(0.05)
    return lost()


def test_a_head_that_answers_is_not_lost_and_errors_pass(head: socket.socket) -> None:
    with watched_head("resume", restore=lambda: None, silence=0.0) as lost:
        time.sleep(2.5)
        assert not lost()
    with pytest.raises(ZeroDivisionError), watched_head("resume", restore=lambda: None):
        raise ZeroDivisionError


def test_what_is_raised_once_the_head_is_lost_says_so_and_how_to_go_on(head: socket.socket) -> None:
    def lose() -> None:
        with watched_head("biotune run --resume here", lambda: None, silence=0.0) as lost:
            head.close()
            assert patiently(lost)
            raise RuntimeError("RPC error")

    with pytest.raises(UserError, match=r"does not answer any more.* to go on: biotune run --resume here$"):
        lose()


WAITING = """
import os, socket, sys, time, types
import ray
from biotune.study.cluster.head import watched_head
head = socket.create_server(("127.0.0.1", 0))
ray.is_initialized = lambda: True
ray.get_runtime_context = lambda: types.SimpleNamespace(gcs_address="127.0.0.1:%d" % head.getsockname()[1])
with watched_head("biotune run --resume here", lambda: print("restored", flush=True), 0.0, 1.0):
    head.close()
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_study_that_waits_for_ray_is_ended_with_the_same_line() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (2, "restored\n")
    [line] = done.stderr.splitlines()
    assert line.startswith("error: the head of the Ray cluster at 127.0.0.1:")
    assert line.endswith("to go on: biotune run --resume here")


def test_the_study_has_ended_before_ray_ends_it() -> None:
    assert SILENCE + WIND_UP < 60 - 10
