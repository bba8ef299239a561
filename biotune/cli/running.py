"""What the commands that run a study have in common: on which machines, and what follows once it has ended."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from biotune.cli.arguments import count, path, seconds, share_or_auto
from biotune.errors import UserError, run_command

if TYPE_CHECKING:
    from biotune.io.storage import Place
    from biotune.study.run import Options


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of where a study runs, and where its results are kept."""
    parser.add_argument("--output", type=path, default=Path("results"), metavar="DIR", help="default: results/")
    parser.add_argument(
        "--storage",
        metavar="URI",
        help="where the workers keep checkpoints and the results are copied to: a folder that all machines see, "
        "s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; default: the results directory",
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="a Ray cluster, or auto; default: start Ray here")
    parser.add_argument(
        "--allow-open-cluster", action="store_true", help="join a cluster elsewhere even if it asks for no token"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST",
        help="address that the dashboard listens on; 0.0.0.0: all; default: 127.0.0.1, this machine alone",
    )
    parser.add_argument("--cpus-per-trial", type=count, metavar="N", help="cores, and threads, per trial; default 1")
    parser.add_argument(
        "--gpus-per-trial",
        type=share_or_auto,
        metavar="X",
        help="GPUs per trial; with a fraction, trials share one; auto: measure how many trials should share one; "
        "default: a quarter if there are any",
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="one process on each GPU, or on the cores if there is none, trains the networks of all trials together; "
        "on a GPU its speed is not measured",
    )
    parser.add_argument("--concurrency", type=count, metavar="N", help="trials at once; default: as many as fit")
    parser.add_argument(
        "--checkpoint-every",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="training time between two checkpoints of a trial, which it may lose when it is killed; default 10",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="TRACKER",
        help="tell a tracker of the study while it runs: tensorboard, mlflow:URI, wandb or wandb:PROJECT; can be "
        "repeated",
    )


def options_of(arguments: argparse.Namespace, storage: "Place | None", kernels: str = "auto") -> "Options":
    """How a study is run, as the arguments say.

    Raises:
        UserError: some of them contradict each other.
    """
    from biotune.study.run import Options

    if arguments.listen and arguments.address:
        raise UserError(
            "--listen: the address of a cluster's dashboard is set by `ray start --dashboard-host`; leave it out"
        )
    if arguments.engine and arguments.gpus_per_trial is not None:
        raise UserError(
            "--engine, --gpus-per-trial: an engine's trials have no GPU of their own; leave one of them out"
        )
    return Options(
        output=arguments.output,
        address=arguments.address,
        allow_open=arguments.allow_open_cluster,
        listen=arguments.listen or "127.0.0.1",
        cpus=arguments.cpus_per_trial,
        gpus=arguments.gpus_per_trial,
        concurrency=arguments.concurrency,
        engine=arguments.engine,
        kernels=kernels,
        checkpoint_every=arguments.checkpoint_every,
        storage=storage,
        log=arguments.log,
    )


def run_and_report(run: Callable[[], Path], console: Console) -> int:
    """Runs a study and reports it; returns the exit code.

    Args:
        run: runs it, and returns its results directory.

    Raises:
        UserError: it could not be finished; what there is is reported.
    """
    from biotune.report import make_report, print_report
    from biotune.study.directory.mirror import mirror_results
    from biotune.study.run import Incomplete, Interrupted

    def report(directory: Path) -> None:
        console.print("Making the report …", style="dim")
        print_report(make_report(directory), console)
        mirror_results(directory)

    try:
        directory = run()
    except Interrupted as interrupted:
        console.print(f"Interrupted; to go on:\n  {run_command()} --resume {interrupted.directory}", soft_wrap=True)
        return 130
    except Incomplete as incomplete:
        report(incomplete.directory)
        raise
    try:
        report(directory)
    except KeyboardInterrupt:
        console.print(f"Interrupted; the study is done, to report it:\n  biotune report {directory}", soft_wrap=True)
        return 130
    return 0
