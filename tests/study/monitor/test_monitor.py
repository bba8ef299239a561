"""`biotune monitor`, on a study whose search is driven without Ray's workers."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from tensorboardX.proto.event_pb2 import Event

from biotune.cli import main
from biotune.results import Results
from biotune.study import load_study
from biotune.study.history.events import append, begun, replay
from biotune.study.history.record import Record
from biotune.study.monitor.grafana import dashboard, write_configuration
from biotune.study.monitor.metrics import standing
from biotune.study.ray_internals import SCRAPE_LIST, ray_folders
from biotune.study.search.progress import SearchProgress
from biotune.training import UNREPORTED, Evaluations, TrialReport

RUNNING = "real-0004"
PROMTOOL = shutil.which("promtool")


@pytest.fixture
def results(small_space: Path, tmp_path: Path, begin_results: Callable[..., Results]) -> Results:
    """A search of two arms, five trials each: one diverged, one failed, one is still running."""
    study = load_study(small_space)
    results = begin_results(tmp_path / "results" / "small", study.resolved())
    journal = results.journal()
    append(journal, begun(study.resolved(), results.read_state()))
    progress = SearchProgress(study, Record(2, {"primary": 3}, [16]), journal, [])
    while (trial := progress.propose()) is not None:
        diverged = trial.index == 1
        losses = [[1.0 / (trial.index + 1), None if diverged else 0.5]] * 4
        evaluations = Evaluations(0, [[None, None], *losses[1:]], losses, accuracy=[])
        standing = replace(
            UNREPORTED,
            score=None if diverged else 0.25,
            finished=trial.index != 2,
            mean_updates=9.0,
            converged=1,
            diverged=int(diverged),
            seconds=1.0,
        )
        progress.report(trial.trial, TrialReport(evaluations, standing))
        if trial.trial != RUNNING:
            progress.end(trial.trial, "no memory" if trial.index == 2 else "")
    return results


def events(folder: Path) -> Iterator[Event]:
    """The events of TensorBoard's files: length, its checksum, the event, its checksum."""
    for file in sorted(folder.glob("events.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_optuna_opens_each_arms_trials(results: Results, tmp_path: Path) -> None:
    for _ in range(2):  # the second time, in place of the first
        assert main(["monitor", str(results.path), "-o", str(tmp_path / "monitor")]) == 0
    storage = JournalStorage(JournalFileBackend(str(results.path / "optuna.journal")))
    assert set(optuna.get_all_study_names(storage)) == {"small/real", "small/rewired"}
    study = optuna.load_study(study_name="small/real", storage=storage)
    states = [trial.state for trial in study.trials]
    complete = TrialState.COMPLETE
    assert states == [complete, TrialState.PRUNED, TrialState.FAIL, complete, TrialState.RUNNING]
    assert study.best_value == pytest.approx(9 + 0.25 / (1 + 0.25))  # updates, and a tie-break by the loss
    assert study.trials[0].intermediate_values == dict.fromkeys(range(4), 0.75)
    assert set(study.trials[0].params) == {"learning_rate", "nonlinearity"}
    assert study.trials[4].user_attrs["trial"] == RUNNING


def test_tensorboard_files_hold_losses_and_the_hparams(results: Results, tmp_path: Path) -> None:
    assert main(["monitor", str(results.path), "-o", str(tmp_path / "monitor")]) == 0
    assert len(list((results.path / "tensorboard").iterdir())) == 10
    values = [value for event in events(results.path / "tensorboard" / "real-0000") for value in event.summary.value]
    losses = [value.simple_value for value in values if value.tag == "validation_loss"]
    assert losses == [0.75] * 4
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info", "best_loss"} <= {
        value.tag for value in values
    }
    [start] = [value for value in values if value.tag == "_hparams_/session_start_info"]
    assert b"learning_rate" in start.metadata.plugin_data.content
    assert b"real" in start.metadata.plugin_data.content


def test_the_journal_of_a_running_study_is_left_as_it_is(results: Results, tmp_path: Path) -> None:
    journal = results.path / "journal.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"event": "prog')  # just being written
    before = journal.read_bytes()
    assert main(["monitor", str(results.path), "-o", str(tmp_path / "monitor")]) == 0
    assert journal.read_bytes() == before


def test_prometheus_finds_studies_of_clusters_and_those_that_start_ray_themselves(tmp_path: Path) -> None:
    assert main(["monitor", "-o", str(tmp_path)]) == 0
    [job] = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [str(folder / SCRAPE_LIST) for folder in ray_folders()]}]


def test_prometheus_and_grafana_are_configured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, ray_temp = tmp_path / "monitor", tmp_path / "ray"
    assert main(["monitor", "-o", str(folder), "--ray-temp", str(ray_temp)]) == 0
    printed = capsys.readouterr().out
    assert f"prometheus --config.file={folder}/prometheus.yml" in printed
    assert f"GF_PATHS_PROVISIONING={folder}/provisioning" in printed
    assert printed.count("127.0.0.1") == 2  # nothing listens on other interfaces
    [job] = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [str(ray_temp / SCRAPE_LIST)]}]
    [source] = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    asked = {
        panel["datasource"]["uid"] for panel in json.loads((folder / "dashboards/biotune.json").read_text())["panels"]
    }
    assert asked == {source["uid"]}
    [provider] = yaml.safe_load((folder / "provisioning/dashboards/biotune.yml").read_text())["providers"]
    files = sorted(Path(provider["options"]["path"]).glob("*.json"))
    assert [file.name for file in files] == ["biotune.json", "ray.json"]
    assert all(json.loads(file.read_text())["panels"] for file in files)


def test_the_dashboard_asks_for_metrics_that_are_published() -> None:
    published = Path("biotune/study/monitor/metrics.py").read_text()
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert len(queries) == 8
    for query in queries:
        name = query[query.index("ray_biotune_") + len("ray_biotune_") :].split("{")[0].rstrip(")")
        assert f'"{name}"' in published or f'"biotune_{name}"' in published


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here; Debian: apt-get install prometheus")
def test_prometheus_accepts_its_configuration_and_every_query(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    write_configuration(tmp_path, tmp_path)
    subprocess.run([PROMTOOL, "check", "config", tmp_path / "prometheus.yml"], check=True)
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel_{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    subprocess.run([PROMTOOL, "check", "rules", tmp_path / "rules.yml"], check=True)


GPUS = """
import socket, sys, time, urllib.request
import ray
from biotune.study import load_study
from biotune.study.cluster.connect import connected  # which sets Ray up
from biotune.study.monitor.metrics import Metrics
from biotune.study.history.record import Record
with socket.create_server(("127.0.0.1", 0)) as one:
    port = one.getsockname()[1]
ray.init("local", num_cpus=1, num_gpus=2, include_dashboard=True, log_to_driver=False, _metrics_export_port=port)
taken = ray.remote(num_gpus=0.5)(type("Taken", (), {"ready": lambda self: True})).remote()
ray.get(taken.ready.remote())
metrics = Metrics(load_study(sys.argv[1]), Record(2, {"primary": 3}, [16]), gpus=True)
for _ in range(60):
    metrics.publish("search", ended=True)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    if shares := [line.split()[-1] for line in lines if line.startswith("ray_biotune_gpu_share{")]:
        print(*shares)
        break
    time.sleep(1)
"""


@pytest.mark.long
def test_the_share_of_the_gpus_that_is_taken_is_published(small_space: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GPUS, small_space],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout == "0.25\n", done.stderr


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["monitor", "-o", str(tmp_path / "file" / "monitor")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_standing_counts_trials_and_replicates(results: Results) -> None:
    record = Record(2, {"primary": 3}, [16])
    journal = results.journal()
    replay(journal, journal.read(), record.apply)
    now = standing(record, "real", "search")
    assert now.trials == {"running": 1, "completed": 2, "stopped": 0, "diverged": 1, "failed": 1}
    assert (now.replicates, now.converged, now.diverged, now.best, now.epochs) == (10, 5, 1, 0.25, 5 * 3 * 2)
    assert standing(record, "real", "confirm").replicates == 0
