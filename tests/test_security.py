"""Who may come in, and that no file which is loaded can run code."""

import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE

import pytest

import biotune.study.cluster.access as access
from biotune.cli import main, tune_main
from biotune.errors import UserError
from biotune.network import load_checkpoint, save_checkpoint
from biotune.results import TABLES, Results
from biotune.results.journal import Journal
from biotune.study import load_study
from biotune.study.cluster.connect import connected
from biotune.study.history.events import append, begun
from biotune.study.history.record import Record
from biotune.study.search.progress import SearchProgress

SPACE = "search_spaces/seq_mem.yaml"


class Malicious:
    """Unpickled, it makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.made),)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What the code in a malicious file would make."""
    return tmp_path / "code-ran"


def test_the_malicious_pickle_of_these_tests_does_run_code_where_pickles_are_loaded(made: Path) -> None:
    pickle.loads(pickle.dumps(Malicious(made)))
    assert made.exists()


@pytest.mark.parametrize(
    "name", ["study.yaml", "state.json", "environment.json", *(f"{name}.parquet" for name in TABLES), "journal.jsonl"]
)
def test_a_pickle_in_place_of_a_result_is_refused(
    name: str,
    tmp_path: Path,
    made: Path,
    capsys: pytest.CaptureFixture[str],
    begin_results: Callable[..., Results],
) -> None:
    results = begin_results(tmp_path / "results", load_study(SPACE).resolved())
    (results.path / name).write_bytes(pickle.dumps(Malicious(made)) + b"\n")
    if name == "journal.jsonl":
        with pytest.raises(UserError, match="no line of a journal"):
            Journal(results.path / name).read()
    elif name.endswith(".parquet"):
        with pytest.raises(UserError, match="not readable as Parquet"):
            results.read_table(name.removesuffix(".parquet"))
    else:
        assert main(["report", str(results.path)]) == 2
        assert name in capsys.readouterr().err
    assert not made.exists()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".lst", ".csv", ".mat", ".graphml", ".parquet", ".pkl"])
def test_a_pickle_in_place_of_a_connectome_is_refused(
    suffix: str, tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"wiring{suffix}"
    file.write_bytes(pickle.dumps(Malicious(made)))
    connectome = f"connectome={{name: mine, path: {file}}}"
    assert tune_main(["--space", SPACE, "--set", connectome, "--output", str(tmp_path / "out"), "--dry-run"]) == 2
    assert str(file) in capsys.readouterr().err
    assert not made.exists()


def test_a_pickle_in_place_of_a_study_is_refused(
    tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.yaml"
    space.write_bytes(pickle.dumps(Malicious(made)))
    assert tune_main(["--space", str(space), "--dry-run"]) == 2
    assert str(space) in capsys.readouterr().err
    assert not made.exists()


def test_a_python_tag_in_a_study_is_refused(tmp_path: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(f"name: !!python/object/apply:os.mkdir ['{made}']\n")
    assert tune_main(["--space", str(space), "--dry-run"]) == 2
    assert str(space) in capsys.readouterr().err
    assert not made.exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_with_a_malicious_reduce_is_refused(wrapped: bool, tmp_path: Path, made: Path) -> None:
    file = tmp_path / "trial.pt"
    if wrapped:
        save_checkpoint(file, {"seconds": 1.0, "weights": Malicious(made)})
    else:
        file.write_bytes(pickle.dumps(Malicious(made)))
    with pytest.raises(UserError, match="not a checkpoint"):
        load_checkpoint(file)
    assert not made.exists()


@pytest.mark.parametrize("key", ["name", "arms"])
@pytest.mark.parametrize("name", ["../outside", "/outside", "..", "a/../../b"])
def test_no_name_of_a_study_or_an_arm_climbs_out_of_the_results(
    key: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change = f"name={name}" if key == "name" else f"arms={{'{name}': {{}}}}"
    assert tune_main(["--space", SPACE, "--set", change, "--set", f"reference_arm={name}", "--dry-run"]) == 2
    assert name in capsys.readouterr().err


def test_no_trial_of_a_crafted_journal_climbs_out_of_the_results(tmp_path: Path) -> None:
    study, record = load_study(SPACE), Record(search_replicates=4, updates_per_epoch={"primary": 4}, planned=[16])
    event = {"event": "proposed", "arm": "marmoset", "index": 0, "origin": "shared", "setting": {}}
    with pytest.raises(UserError, match=r"no trial of this study: '../../../outside'"):
        SearchProgress(study, record, Journal(tmp_path / "j"), [event | {"trial": "../../../outside"}])


def test_no_trial_of_a_crafted_journal_is_written_outside_of_its_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], begin_results: Callable[..., Results]
) -> None:
    study = load_study(SPACE).resolved()
    results = begin_results(tmp_path / "results", study)
    append(results.journal(), begun(study, results.read_state()))
    event = {"event": "proposed", "arm": "marmoset", "index": 0, "origin": "shared", "setting": {}}
    results.journal().append(event | {"trial": "../../outside"})
    assert main(["monitor", str(results.path), "-o", str(tmp_path / "monitor")]) == 2
    assert "no trial of this study: '../../outside'" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


@pytest.mark.parametrize("command", [["report"], ["monitor", "-o", "monitor"]], ids=lambda command: command[0])
def test_looking_at_results_does_not_run_the_task_that_they_name(
    command: list[str],
    tmp_path: Path,
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin_results: Callable[..., Results],
) -> None:
    study = load_study(SPACE).resolved()
    study["task"] = {"name": f"{tmp_path}/malicious.py:Task"}
    results = begin_results(tmp_path / "results", study)
    (tmp_path / "malicious.py").write_text(f"import os\nos.mkdir({str(made)!r})\n")
    monkeypatch.chdir(tmp_path)
    main([*command, str(results.path)])
    assert not made.exists()


def test_no_name_of_an_arm_holds_markup(capsys: pytest.CaptureFixture[str]) -> None:
    change = "arms={'<script>alert(1)</script>': {}}"
    assert tune_main(["--space", SPACE, "--set", change, "--dry-run"]) == 2
    assert "string should match pattern" in capsys.readouterr().err


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ray" / "auth_token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    return file


def test_the_token_is_its_owners_alone(token_file: Path) -> None:
    access.keep_token_private(make=False)
    assert not token_file.exists()
    access.keep_token_private(make=True)
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    token = token_file.read_text()
    assert len(token) == 64
    token_file.chmod(0o644)  # as Ray makes it
    access.keep_token_private(make=True)
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert token_file.read_text() == token
    assert [file.name for file in token_file.parent.iterdir()] == ["auth_token"]


ASK = """
import sys
import biotune.study.cluster.connect
import biotune.study.cluster.access as access
import ray
context = ray.init("local", include_dashboard=True, num_cpus=1, log_to_driver=False, _temp_dir=sys.argv[1])
access.require_guarded(context.dashboard_url)  # this machine's own cluster may be open
access._is_here = lambda address: False  # as if it were elsewhere
access.require_guarded(context.dashboard_url)
"""


@pytest.mark.long
@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_only_a_cluster_elsewhere_that_asks_for_no_token_is_refused(
    mode: str, token_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    access.keep_token_private(make=True)
    short = tmp_path_factory.mktemp("r")  # Ray's sockets lie in it, and their paths must be short
    environment = os.environ | {"RAY_AUTH_MODE": mode, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", ASK, short], env=environment, capture_output=True, text=True, timeout=120
    )
    refused = "asks for no token" in done.stderr and "--allow-open-cluster" in done.stderr
    assert (done.returncode == 0, refused) == ((True, False) if mode == "token" else (False, True)), done.stderr
    logs = [file for file in short.rglob("*") if file.is_file() and not file.is_symlink()]
    assert logs
    assert not [file for file in logs if token_file.read_bytes() in file.read_bytes()]


def test_a_cluster_that_is_joined_is_not_told_where_to_listen(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_main(["--space", SPACE, "--listen", "0.0.0.0", "--address", "auto"]) == 2
    assert "--dashboard-host" in capsys.readouterr().err


def test_rays_files_are_in_a_folder_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = tmp_path / "r"
    monkeypatch.setattr(access, "SOCKET", "")  # pytest's folders are deep
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    old = os.umask(0)
    try:
        folder = access.private_folder()
    finally:
        os.umask(old)
    assert folder.is_dir()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    folder.parent.chmod(0o777)
    assert access.private_folder() == folder  # as in a study before
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_rays_files_are_not_put_where_somebody_else_may_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "SOCKET", "")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    private, elsewhere = tmp_path / f"biotune-{os.getuid()}", tmp_path / "elsewhere"
    elsewhere.mkdir()
    private.symlink_to(elsewhere)
    with pytest.raises(UserError, match=f"{private}: is not your own folder.*RAY_TMPDIR"):
        access.private_folder()
    private.unlink()
    private.touch()
    with pytest.raises(UserError, match=f"{private}: Ray's files cannot be kept there.*RAY_TMPDIR"):
        access.private_folder()
    private.unlink()
    private.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    private.rename(tmp_path / f"biotune-{os.getuid()}")
    with pytest.raises(UserError, match="is not your own folder"):
        access.private_folder()


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_with_a_path_too_long_for_rays_sockets_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable == "TMPDIR" and sys.platform != "linux":
        pytest.skip("Ray looks at TMPDIR on Linux alone")
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(variable, "/tmp/" + "long" * 10)
    with pytest.raises(UserError, match=r"cannot have a path that long \(\d+ bytes, at most \d+\).*in RAY_TMPDIR"):
        access.private_folder()
    assert not Path("/tmp/" + "long" * 10).exists()


def test_ray_is_not_started_open(token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(UserError, match="RAY_AUTH_MODE=disabled"), connected(None):
        pass


START = """
import sys
import ray
context = ray.init("local", include_dashboard=True, num_cpus=1, log_to_driver=False, _temp_dir=sys.argv[1])
print(context.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""
JOIN = """
import sys
import biotune.study.cluster.access as access
from biotune.study.cluster.connect import connected
access._is_here = lambda address: False  # as if it were elsewhere
with connected(sys.argv[1], allow_open=sys.argv[2] == "True"):
    print("joined")
"""


@pytest.mark.long
def test_an_open_cluster_elsewhere_is_joined_where_that_is_allowed(
    token_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", START, tmp_path_factory.mktemp("r")]
    with subprocess.Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True) as cluster:
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        refused, joined = (
            subprocess.run(
                [sys.executable, "-c", JOIN, address, str(allowed)],
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            for allowed in (False, True)
        )
        cluster.stdin.close()
    assert "asks for no token" in refused.stderr
    assert "joined" not in refused.stdout
    assert joined.stdout == "joined\n", joined.stderr


LISTEN = """
import psutil
from urllib.error import HTTPError
from urllib.request import urlopen
import ray
from biotune.study.cluster.connect import connected
with connected(None, listen="127.0.0.2") as url:
    print(ray.nodes()[0]["ObjectStoreSocketName"])
    try:
        urlopen(url + "/api/cluster_status", timeout=10)
    except HTTPError as error:
        print(error.code)
    print(url)
    for process in psutil.Process().children(recursive=True):
        for socket in process.net_connections("tcp"):
            if socket.status == psutil.CONN_LISTEN and url.endswith(f":{socket.laddr.port}"):
                print(socket.laddr.ip)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine on Linux alone")
def test_the_dashboard_listens_where_it_is_told_alone_and_asks_for_the_token(token_file: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", LISTEN], env=environment, capture_output=True, text=True, timeout=120)
    store, status, url, *listening = done.stdout.split()
    assert Path(store).is_relative_to(access.private_folder())
    assert status == "401"
    assert url.startswith("http://127.0.0.2:")
    assert set(listening) == {"127.0.0.2"}
