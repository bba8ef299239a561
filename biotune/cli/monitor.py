"""`biotune monitor`: writes the files with which Prometheus, Grafana, TensorBoard and optuna-dashboard show a study."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console

from biotune.cli.arguments import path
from biotune.errors import UserError


def add_commands(commands: Any) -> None:
    """Adds `monitor`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser(
        "monitor", help="write the files with which Prometheus, Grafana, TensorBoard and optuna-dashboard show a study"
    )
    command.add_argument(
        "directory",
        type=path,
        nargs="?",
        metavar="DIR",
        help="a results directory, for TensorBoard and optuna-dashboard",
    )
    command.add_argument(
        "-o", "--output", type=path, default=Path("monitor"), metavar="FOLDER", help="default: monitor/"
    )
    command.add_argument(
        "--ray-temp",
        type=path,
        metavar="FOLDER",
        help="--temp-dir of Ray; default: that of `ray start`, and that of a study that starts Ray itself",
    )
    command.set_defaults(command=_monitor)


def _monitor(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.study.monitor.grafana import write_configuration
    from biotune.study.ray_internals import ray_folders

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    if arguments.directory is not None:
        from biotune.results import Results
        from biotune.study.monitor.exports import write_optuna, write_tensorboard

        results = Results.open(arguments.directory)
        try:
            say(f"TensorBoard:      tensorboard --logdir {shlex.quote(str(write_tensorboard(results)))}")
            say(f"optuna-dashboard: optuna-dashboard {shlex.quote(str(write_optuna(results)))}")
        except OSError as error:
            raise UserError(f"{results.path}: cannot be written to ({error.strerror})") from None
    folder = arguments.output.expanduser().resolve()
    given = arguments.ray_temp
    try:
        write_configuration(folder, ray_folders() if given is None else [given.expanduser().resolve()])
    except OSError as error:
        raise UserError(f"--output {folder}: cannot be written ({error.strerror}); give another folder") from None
    quoted = shlex.quote(str(folder))
    say(
        f"Prometheus:       prometheus --config.file={quoted}/prometheus.yml --storage.tsdb.path={quoted}/data "
        "--web.listen-address=127.0.0.1:9090"
    )
    say(
        f"Grafana:          GF_SERVER_HTTP_ADDR=127.0.0.1 GF_PATHS_PROVISIONING={quoted}/provisioning "
        f"GF_PATHS_DATA={quoted}/data/grafana grafana server --homepath /usr/share/grafana"
    )
    return 0
