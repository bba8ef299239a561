"""`biotune run`, which is also `python tune_main.py`: search, confirm, report."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biotune.cli.arguments import names, natural, path
from biotune.cli.running import add_machine_arguments, options_of, run_and_report
from biotune.errors import UserError

if TYPE_CHECKING:
    from biotune.study import Study

EXAMPLES = """examples:
  python tune_main.py --space search_spaces/seq_mem.yaml
  python tune_main.py --space seq_mem --dry-run
  python tune_main.py --space search_spaces/seq_mem.yaml --arms marmoset,degrees --seed 7
  python tune_main.py --space search_spaces/seq_mem.yaml --set task.pattern_length=10 --set search.trials_per_arm=32
  python tune_main.py --space search_spaces/seq_mem.yaml --address auto --output /shared/results
  python tune_main.py --space search_spaces/seq_mem.yaml --address auto --storage s3://bucket/studies
  python tune_main.py --resume results/seq_mem-20260101T120000Z
"""


def add_commands(commands: Any) -> None:
    """Adds `run`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser(
        "run",
        help="run a study: search, confirm, report",
        epilog=EXAMPLES.replace("python tune_main.py --space", "biotune run").replace(
            "python tune_main.py", "biotune run"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(command)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    parser.add_argument(
        "study",
        type=path,
        nargs="?",
        metavar="STUDY",
        help="the same as --space",
    )
    parser.add_argument(
        "--space",
        type=path,
        metavar="FILE",
        help="the study's YAML, or the name of one that comes with biotune: seq_mem",
    )
    parser.add_argument(
        "--resume",
        metavar="DIR",
        help="go on with a study that was killed or interrupted; URI/NAME: with its copy in a storage",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="with --resume: if the journal is damaged, keep it and go on from the part before the damage",
    )
    add_machine_arguments(parser)
    parser.add_argument(
        "--kernels",
        metavar="NAME",
        help="the backend that all networks run on (kernels/README.md lists them); default: auto, the fastest on the "
        "machines that trials run on",
    )
    parser.add_argument("--seed", type=natural, metavar="N", help="replaces the study's seed")
    parser.add_argument("--arms", type=names, metavar="A,B", help="run only these arms and the reference arm")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY.PATH=VALUE",
        help="override a key of the YAML; can be repeated",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a first look within about a minute: fewer trials and replicates, the primary condition alone; it prints "
        "what it leaves out, and the report says that it is no result",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check the study, and print all its keys and about how long it will take",
    )
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.io.storage import BucketPath, place
    from biotune.study import load_study
    from biotune.study.definition.examples import example_names
    from biotune.study.directory.mirror import fetch
    from biotune.study.directory.resume import load_resumed
    from biotune.study.run import run_study
    from biotune.study.worker.verification import require_known

    require_known(arguments.kernels or "auto")
    if arguments.space is not None and arguments.study is not None:
        raise UserError(f"{arguments.study}: --space {arguments.space} is given too; give one of them")
    space = arguments.space or arguments.study
    storage = None if arguments.storage is None else place(arguments.storage)
    resume = None if arguments.resume is None else place(arguments.resume)
    if arguments.repair and resume is None:
        raise UserError("--repair: needs a results directory; add --resume DIR")
    if resume is not None:
        given = [
            name
            for name, value in (
                ("--set", arguments.overrides),
                ("--seed", arguments.seed),
                ("--arms", arguments.arms),
                ("--kernels", arguments.kernels),
                ("--quick", arguments.quick or None),
            )
            if value not in ([], None)
        ]
        if given:
            raise UserError(f"{', '.join(given)}: a resumed study goes on as it was started; leave this out")
        if isinstance(resume, BucketPath):
            resume, storage = fetch(resume, arguments.output), storage or resume.parent
        study = load_resumed(resume, space)
    elif space is None:
        raise UserError(f"--space FILE is missing; studies that come with biotune: {', '.join(example_names())}")
    else:
        study = load_study(
            space,
            overrides=arguments.overrides,
            seed=arguments.seed,
            arms=arguments.arms,
            quick=arguments.quick,
        )
    if arguments.dry_run:
        return _dry_run(study, arguments, console)
    options = options_of(arguments, storage, arguments.kernels or "auto")
    return run_and_report(lambda: run_study(study, options, console, resume=resume, repair=arguments.repair), console)


def _dry_run(study: "Study", arguments: argparse.Namespace, console: Console) -> int:
    import yaml

    from biotune.study.dry_run import DryRun

    dry_run = DryRun(
        study,
        elsewhere=arguments.address is not None,
        cpus=arguments.cpus_per_trial,
        gpus=None if arguments.gpus_per_trial == "auto" else arguments.gpus_per_trial,
        concurrency=arguments.concurrency,
        kernels=arguments.kernels or "auto",
    )
    console.print(yaml.safe_dump(study.resolved(), sort_keys=False), soft_wrap=True)
    for note in dry_run.notes:
        console.print(f"NOTE: {note}", soft_wrap=True)
    console.print("Timing a trial of each arm …", style="dim")
    console.print(str(dry_run.estimate()), soft_wrap=True)
    return 0
