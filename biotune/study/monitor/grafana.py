"""`biotune monitor`: what Prometheus, Grafana, TensorBoard and optuna-dashboard need to show a study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from biotune.study.ray_internals import SCRAPE_LIST, ray_dashboard

_PANELS = (
    ("Learning by arm", "ray_biotune_best_validation_loss", "{{study}} {{arm}} {{phase}}", True),
    ("Replicates that met the criterion", "ray_biotune_replicates_converged", "{{study}} {{arm}} {{phase}}", False),
    ("Epochs per second", "ray_biotune_epochs_per_second", "{{study}} {{arm}} {{phase}}", False),
    ("Updates per second", "ray_biotune_updates_per_second", "{{study}} {{arm}} {{phase}}", False),
    ("Trials", "sum by (study, state) (ray_biotune_trials)", "{{study}} {{state}}", False),
    (
        "Failures",
        'sum by (study, arm, state) (ray_biotune_trials{state=~"failed|diverged"})',
        "{{study}} {{arm}} {{state}}",
        False,
    ),
    ("Replicates that diverged", "ray_biotune_replicates_diverged", "{{study}} {{arm}} {{phase}}", False),
    ("Share of the GPUs taken", "ray_biotune_gpu_share", "{{study}}", False),
)
"""Title, query, legend, and whether the axis is logarithmic."""

_SOURCE = {"type": "prometheus", "uid": "biotune-prometheus"}
"""What the panels ask, as Grafana knows it."""


def write_configuration(folder: Path, ray_folders: Sequence[Path]) -> None:
    """Writes Prometheus's and Grafana's configuration: Ray's own dashboard, and one of studies.

    Args:
        folder: that they are written to.
        ray_folders: that Ray may keep its files in; there it lists what is to be scraped.
    """
    dashboards = folder / "dashboards"
    sources, providers = folder / "provisioning" / "datasources", folder / "provisioning" / "dashboards"
    for made in (dashboards, sources, providers):
        made.mkdir(parents=True, exist_ok=True)
    lists = [str(ray_folder / SCRAPE_LIST) for ray_folder in ray_folders]
    scrape = {"job_name": "ray", "file_sd_configs": [{"files": lists}]}
    _write(folder / "prometheus.yml", {"global": {"scrape_interval": "10s"}, "scrape_configs": [scrape]})
    source = {"name": "Prometheus", **_SOURCE, "url": "http://127.0.0.1:9090", "isDefault": True}
    _write(sources / "prometheus.yml", {"apiVersion": 1, "datasources": [source | {"access": "proxy"}]})
    provider = {"name": "biotune", "type": "file", "options": {"path": str(dashboards)}}
    _write(providers / "biotune.yml", {"apiVersion": 1, "providers": [provider]})
    (dashboards / "ray.json").write_text(ray_dashboard())
    (dashboards / "biotune.json").write_text(json.dumps(dashboard(), indent=1) + "\n")


def dashboard() -> dict[str, Any]:
    """The Grafana dashboard of studies: learning by arm, throughput, failures."""
    panels = [
        {
            "id": number + 1,
            "title": title,
            "type": "timeseries",
            "datasource": _SOURCE,
            "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
            "targets": [{"refId": "A", "expr": query, "legendFormat": legend}],
            "fieldConfig": {
                "defaults": {
                    "custom": {"scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"}}
                },
                "overrides": [],
            },
        }
        for number, (title, query, legend, log) in enumerate(_PANELS)
    ]
    return {
        "uid": "biotune",
        "title": "biotune",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels,
    }


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
