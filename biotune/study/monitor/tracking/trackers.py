"""The trackers: each sends what is new of a run to one program, through that program's own client."""

import hashlib
import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from biotune.errors import UserError, unknown_name
from biotune.study.monitor.tracking.news import News

TENSORBOARD = "tensorboard"
"""The folder in the results directory that TensorBoard's event files are in."""


class NotSent(Exception):
    """A tracker couldn't be reached, or refused what was sent."""


class Tracker(Protocol):
    """One program that is told of a study."""

    def open(self, directory: Path) -> None:
        """Begins, or goes on, with the study whose results directory this is."""

    def send(self, news: News, known: str | None) -> str:
        """Sends what is new of a run; returns what the run is known by there, which is given the next time.

        Raises:
            NotSent: it couldn't be; it is tried again.
        """

    def close(self) -> None:
        """Ends what is open: runs that the study left unfinished stay so."""


class TensorBoard:
    """Event files in `tensorboard/` of the results directory, one folder per run."""

    def __init__(self) -> None:
        self.writers: dict[str, Any] = {}

    def open(self, directory: Path) -> None:
        """See `Tracker`."""
        self.folder = directory / TENSORBOARD

    def send(self, news: News, known: str | None) -> str:
        """See `Tracker`."""
        from tensorboardX import SummaryWriter
        from tensorboardX.summary import hparams

        folder = self.folder / news.run
        try:
            writer = self.writers.get(news.run) or SummaryWriter(logdir=str(folder))
            self.writers[news.run] = writer
            for epoch, metrics in news.rows.items():
                for name, value in metrics.items():
                    writer.add_scalar(name, value, epoch)
            if news.end is not None:
                for summary in hparams({"arm": news.arm, **news.setting}, dict(news.end)):
                    writer.file_writer.add_summary(summary)  # add_hparams would make a folder of its own
                last = max(news.rows, default=0)
                for name, value in news.end.items():
                    writer.add_scalar(name, value, last)
                self.writers.pop(news.run).close()
            else:
                writer.flush()
        except OSError as error:
            raise NotSent(f"{folder}: {error.strerror or error}") from error
        return news.run

    def close(self) -> None:
        """See `Tracker`."""
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()


class MLflow:
    """An experiment of MLflow, named as the study, with a run per run.

    Args:
        uri: of the tracking server or database, such as `http://127.0.0.1:5000` or `sqlite:///mlflow.db`.
        study: its name.

    Raises:
        UserError: it can't be reached.
    """

    MOST = 1000
    """Metrics that MLflow takes at once."""

    def __init__(self, uri: str, study: str) -> None:
        # MLflow would try seven times, for minutes; here that is done without holding the study up
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        self.error = MlflowException
        try:
            self.client = MlflowClient(tracking_uri=uri)
            found = self.client.get_experiment_by_name(study)
            self.experiment = self.client.create_experiment(study) if found is None else found.experiment_id
        except (MlflowException, OSError, ImportError) as error:
            raise UserError(f"--log mlflow:{uri}: can't be reached ({_first_line(error)})") from error

    def open(self, directory: Path) -> None:
        """See `Tracker`."""
        self.directory = directory

    def send(self, news: News, known: str | None) -> str:
        """See `Tracker`."""
        from mlflow.entities import Metric, Param

        now = int(1000 * time.time())
        rows = [Metric(name, value, now, epoch) for epoch, row in news.rows.items() for name, value in row.items()]
        last = max(news.rows, default=0)
        rows += [Metric(name, value, now, last) for name, value in (news.end or {}).items()]
        try:
            if known is None:
                tags = {"phase": news.phase, "arm": news.arm, "results": str(self.directory)}
                known = self.client.create_run(self.experiment, tags=tags, run_name=news.run).info.run_id
                given = {"arm": news.arm, **news.setting}
                params = [Param(key, str(value)) for key, value in given.items()]
                self.client.log_batch(known, params=params)
            for first in range(0, len(rows), self.MOST):
                self.client.log_batch(known, metrics=rows[first : first + self.MOST])
            if news.end is not None:
                self.client.set_terminated(known, "FAILED" if news.failed else "FINISHED")
        except (self.error, OSError) as error:
            raise NotSent(_first_line(error)) from error
        return known

    def close(self) -> None:
        """See `Tracker`."""


class WandB:
    """A group of Weights & Biases, named as the results directory, with a run per run.

    WANDB_MODE=offline keeps all of it in the results directory, for `wandb sync`.

    Args:
        project: of W&B.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self.runs: dict[str, Any] = {}

    def open(self, directory: Path) -> None:
        """See `Tracker`."""
        self.directory = directory

    def send(self, news: News, known: str | None) -> str:
        """See `Tracker`."""
        import wandb

        name = known or hashlib.sha256(f"{self.directory.name}/{news.run}".encode()).hexdigest()[:16]
        try:
            if news.run not in self.runs:
                self.runs[news.run] = wandb.init(
                    project=self.project,
                    id=name,
                    name=news.run,
                    group=self.directory.name,
                    job_type=news.phase,
                    config={"arm": news.arm, **news.setting},
                    dir=str(self.directory),
                    resume="allow" if known else None,
                    reinit="create_new",
                    settings=wandb.Settings(silent=True, console="off", init_timeout=30),
                )
            run = self.runs[news.run]
            for epoch, metrics in news.rows.items():
                run.log(dict(metrics), step=epoch)
            if news.end is not None:
                run.summary.update(dict(news.end))
                self.runs.pop(news.run).finish(exit_code=1 if news.failed else 0)
        except (wandb.Error, OSError) as error:
            raise NotSent(_first_line(error)) from error
        return name

    def close(self) -> None:
        """See `Tracker`."""
        for run in self.runs.values():
            run.finish()
        self.runs.clear()


def make_tracker(spec: str, study: str) -> Tracker:
    """The tracker that `--log` names.

    Args:
        spec: `tensorboard`, `mlflow:URI`, `wandb` or `wandb:PROJECT`.
        study: its name.

    Raises:
        UserError: it isn't known, lacks its URI, isn't installed, or can't be reached.
    """
    kind, _, rest = spec.partition(":")
    if kind == "tensorboard" and not rest:
        return TensorBoard()
    if kind == "mlflow":
        if not rest:
            raise UserError("--log mlflow: needs where to, such as mlflow:sqlite:///mlflow.db or mlflow:http://…")
        _require("mlflow", spec)
        return MLflow(rest, study)
    if kind == "wandb":
        _require("wandb", spec)
        return WandB(rest or "biotune")
    raise unknown_name("--log", spec, ["tensorboard", "mlflow:URI", "wandb", "wandb:PROJECT"])


def _require(package: str, spec: str) -> None:
    if find_spec(package) is None:
        raise UserError(f"--log {spec}: {package} is not installed: pip install 'biotune[{package}]'")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
