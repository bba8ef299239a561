"""The cluster files, as far as they can be checked without a cloud."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTERS = Path("clusters")
FILES = sorted(CLUSTERS.iterdir())
LAUNCHED = [file for file in FILES if "\ncluster_name:" in file.read_text()]
"""Those that `ray up` starts."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_says_at_its_head_what_to_fill_in_and_how_to_start_watch_and_stop(file: Path) -> None:
    text = file.read_text().removeprefix("#!/usr/bin/env bash\n")
    head = text[: re.search(r"^[^#\n]", text, re.M).start()]  # type: ignore[union-attr]
    assert "Fill in:" in head
    assert all(f"#   {word}:" in head for word in ("start", "watch", "stop"))


@pytest.mark.parametrize("script", sorted(CLUSTERS.glob("*.sh")), ids=lambda script: script.name)
def test_a_script_parses(script: Path) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=LAUNCHED, ids=lambda file: file.name)
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A cluster file with Ray's defaults filled in, as `ray up` would use it."""
    return prepare_config(yaml.safe_load(request.param.read_text()))


def test_ray_accepts_a_cluster_file(cluster: dict[str, Any]) -> None:
    validate_config(cluster)


def test_the_head_runs_no_trials_and_spot_gpu_workers_come_and_go(cluster: dict[str, Any]) -> None:
    head, worker = (cluster["available_node_types"][name] for name in ("head", "gpu"))
    assert head["resources"] == {"CPU": 0}
    assert any("--head" in line and "--num-cpus=0" in line for line in cluster["head_start_ray_commands"])
    assert worker["resources"]["GPU"] >= 1
    assert 1 <= worker["min_workers"] < worker["max_workers"]
    assert "spot" in json.dumps(worker["node_config"]).lower()
    assert "spot" not in json.dumps(head["node_config"]).lower()


def test_nodes_share_a_file_system_and_a_token(cluster: dict[str, Any]) -> None:
    assert any("mount -t nfs" in line for line in cluster["worker_setup_commands"])
    assert any("mount -t nfs" in line for line in cluster["head_setup_commands"])
    assert cluster["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    for role in ("head", "worker"):
        [start] = [line for line in cluster[f"{role}_start_ray_commands"] if "ray start" in line]
        assert "RAY_AUTH_MODE=token" in start
        assert "chmod 600 ~/.ray/auth_token" in cluster[f"{role}_setup_commands"]
    assert "--dashboard-host=127.0.0.1" in " ".join(cluster["head_start_ray_commands"])


def test_the_rayjob_is_whole() -> None:
    claim, job = yaml.safe_load_all((CLUSTERS / "kuberay-rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])
    spec = job["spec"]
    assert spec["entrypoint"].startswith("python tune_main.py --space search_spaces/seq_mem.yaml --address auto")
    assert spec["shutdownAfterJobFinishes"]
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["enableInTreeAutoscaling"]
    head, [workers] = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert 1 <= workers["minReplicas"] <= workers["replicas"] < workers["maxReplicas"]
    images = {spec["submitterPodTemplate"]["spec"]["containers"][0]["image"]}
    for group in (head, workers):
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        images.add(container["image"])
        [mount], [volume] = container["volumeMounts"], pod["volumes"]
        assert mount == {"name": volume["name"], "mountPath": "/shared"}
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert len(images) == 1
    assert workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] >= 1


def test_the_rayjob_names_the_ray_that_was_tested() -> None:
    _, job = yaml.safe_load_all((CLUSTERS / "kuberay-rayjob.yaml").read_text())
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}\n" in Path("constraints.txt").read_text()


def test_the_slurm_script_takes_no_setting_from_a_variable_that_sbatch_sets() -> None:
    taken = set(re.findall(r"\$\{(\w+):-", (CLUSTERS / "slurm.sh").read_text()))
    assert "VENV" in taken
    assert not [name for name in taken if name == "ENVIRONMENT" or name.startswith(("SLURM_", "SBATCH_"))]


class TestTheImage:
    LINES = re.sub(r"\\\n", " ", (CLUSTERS / "Dockerfile").read_text()).splitlines()

    def instructions(self, name: str) -> list[str]:
        return [line.removeprefix(f"{name} ") for line in self.LINES if line.startswith(f"{name} ")]

    def test_starts_from_one_version_and_runs_as_a_user(self) -> None:
        [base] = self.instructions("FROM")
        assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
        assert self.instructions("USER") == ["1000"]
        assert self.LINES.index("USER 1000") > max(n for n, line in enumerate(self.LINES) if line.startswith("RUN"))

    def test_copies_what_it_installs_and_runs(self) -> None:
        assert self.instructions("COPY") == ["--chown=ray:ray . ."]
        ignored = {line.strip("*/") for line in Path(".dockerignore").read_text().splitlines() if line[:1] != "#"}
        needed = {"pyproject.toml", "setup.py", "README.md", "constraints.txt", "tune_main.py", "biotune", "kernels"}
        assert all(Path(name).exists() for name in {*needed, "search_spaces"})
        assert not {*needed, "search_spaces"} & ignored

    def test_installs_and_starts_a_study_as_the_readme_does(self) -> None:
        readme = Path("README.md").read_text()
        [install] = [line for line in self.instructions("RUN") if line.startswith("pip install")]
        assert "-c constraints.txt -e ." in install
        assert "-c constraints.txt -e ." in readme
        [start] = [line for line in self.LINES if line.startswith("#   watch:")]
        assert start.partition(" python ")[2] in readme
