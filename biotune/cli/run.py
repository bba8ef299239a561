"""`biotune run`, which is also `python tune_main.py`: search, confirm, report."""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biotune.cli.arguments import count, names, natural, path, seconds, share_or_auto
from biotune.errors import UserError, run_command

if TYPE_CHECKING:
    from biotune.study import Study

EXAMPLES = """examples:
  python tune_main.py --space search_spaces/seq_mem.yaml
  python tune_main.py --space search_spaces/seq_mem.yaml --dry-run
  python tune_main.py --space search_spaces/seq_mem.yaml --arms marmoset,degrees --seed 7
  python tune_main.py --space search_spaces/seq_mem.yaml --set task.pattern_length=10 --set search.trials_per_arm=32
  python tune_main.py --space search_spaces/seq_mem.yaml --address auto --output /shared/results
  python tune_main.py --space search_spaces/seq_mem.yaml --address auto --storage s3://bucket/studies
  python tune_main.py --resume results/seq_mem-20260101T120000Z
"""


TYPICAL_SPREADS = (0.15, 0.35)
"""Standard deviations of a pair's log ratio, about the least and the greatest that studies of marmoset had."""


def add_commands(commands: Any) -> None:
    """Adds `run`.

    Args:
        commands: what `add_subparsers` returned.
    """
    command = commands.add_parser(
        "run",
        help="run a study: search, confirm, report",
        epilog=EXAMPLES.replace("python tune_main.py", "biotune run"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(command)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run."""
    parser.add_argument(
        "--space", type=path, metavar="FILE", help="the study's YAML, such as search_spaces/seq_mem.yaml"
    )
    parser.add_argument("--output", type=path, default=Path("results"), metavar="DIR", help="default: results/")
    parser.add_argument(
        "--storage",
        metavar="URI",
        help="where the workers keep checkpoints and the results are copied to: a folder that all machines see, "
        "s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; default: the results directory",
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
        "default: none, an engine on each GPU trains the networks of all trials",
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="an engine trains the networks of all trials together on the cores too, if there is no GPU",
    )
    parser.add_argument("--concurrency", type=count, metavar="N", help="trials at once; default: as many as fit")
    parser.add_argument(
        "--kernels",
        metavar="NAME",
        help="the backend that all networks run on (kernels/README.md lists them); default: auto, the fastest on the "
        "machines that trials run on",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="training time between two checkpoints of a trial, which it may lose when it is killed; default 10",
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
    from biotune.report import make_report, print_report
    from biotune.study import load_study
    from biotune.study.directory.mirror import fetch, mirror_results
    from biotune.study.directory.resume import load_resumed
    from biotune.study.run import Incomplete, Interrupted, Options, run_study
    from biotune.study.worker.verification import require_known

    require_known(arguments.kernels or "auto")
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
        study = load_resumed(resume, arguments.space)
    elif arguments.space is None:
        raise UserError("--space FILE is missing; the studies that come with biotune are in search_spaces/")
    else:
        study = load_study(
            arguments.space,
            overrides=arguments.overrides,
            seed=arguments.seed,
            arms=arguments.arms,
            quick=arguments.quick,
        )
    if arguments.dry_run:
        return _dry_run(study, arguments, console)
    if arguments.listen and arguments.address:
        raise UserError(
            "--listen: the address of a cluster's dashboard is set by `ray start --dashboard-host`; leave it out"
        )
    if arguments.engine and arguments.gpus_per_trial is not None:
        raise UserError(
            "--engine, --gpus-per-trial: an engine's trials have no GPU of their own; leave one of them out"
        )
    options = Options(
        output=arguments.output,
        address=arguments.address,
        allow_open=arguments.allow_open_cluster,
        listen=arguments.listen or "127.0.0.1",
        cpus=arguments.cpus_per_trial,
        gpus=arguments.gpus_per_trial,
        concurrency=arguments.concurrency,
        engine=arguments.engine,
        kernels=arguments.kernels or "auto",
        checkpoint_every=arguments.checkpoint_every,
        storage=storage,
    )

    def report(directory: Path) -> None:
        console.print("Making the report …", style="dim")
        print_report(make_report(directory), console)
        mirror_results(directory)

    try:
        directory = run_study(study, options, console, resume=resume, repair=arguments.repair)
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


def _dry_run(study: "Study", arguments: argparse.Namespace, console: Console) -> int:
    import torch
    import yaml

    from biotune.study.plans.plans import Plans
    from biotune.study.resources.estimate import estimate, total
    from biotune.study.resources.fit import fit_resources
    from biotune.study.resources.kernels import all_on
    from biotune.study.resources.timing import measure

    start = time.monotonic()
    plans = Plans.load(study, trains_here=arguments.address is None)
    note = study.task.prepare()
    reading = time.monotonic() - start
    console.print(yaml.safe_dump(study.resolved(), sort_keys=False), soft_wrap=True)
    different = list({id(one): one for one in plans.connectomes.values()}.values())
    for arm, connectome in plans.connectomes.items():
        if connectome.provenance.substitutes:
            console.print(f"NOTE: arm {arm}: {connectome.name} instead of {connectome.provenance.substitutes}")
    for said in [
        *study.notes,
        *_realised_sparsity(study),
        *(f"{c.name}: {text}" for c in different for text in c.provenance.notes),
        note,
    ]:
        if said:
            console.print(f"NOTE: {said}", soft_wrap=True)
    search, confirm, arms = study.config.search, study.config.confirm, len(study.arms)
    here = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    threads = min(arguments.cpus_per_trial or 1, int(here["CPU"]))  # the trials may be another machine's, larger
    room = max(int(here["CPU"]) // threads, 1)
    if arguments.address is None:
        gpus = None if arguments.gpus_per_trial == "auto" else arguments.gpus_per_trial
        # a dry run may be about another machine, on which more trials run at once than fit here
        fitting = fit_resources([here], arguments.cpus_per_trial, gpus, arguments.concurrency, grows=True)
        concurrency, device = fitting.concurrency, fitting.device
    else:  # a dry run doesn't join a cluster, so it doesn't know what it has
        concurrency, device = arguments.concurrency or room, "cpu"
    drawn = plans.try_draws(seconds=2.0)
    plans = replace(plans, device=device, backends=all_on(arguments.kernels or "auto", study.arms))
    console.print("Timing a trial of each arm …", style="dim")
    together = min(concurrency, room) if device == "cpu" else 1
    parts = estimate(study, measure(plans, reading, together=together, threads=threads), concurrency)
    besides = ", ".join(f"{name} {span}" for name, span in parts.items() if name not in ("search", "confirm"))
    where = "cores" if device == "cpu" else "GPUs, as if each had one to itself"
    console.print(
        f"search: {arms} arms × {search.trials_per_arm} trials of {search.replicates} networks, "
        f"{arms * search.trials_per_arm} trials; {parts['search']}\n"
        f"confirm: {arms} arms × {confirm.replicates} networks at the setting of its pair, as many at its own best, "
        f"and {study.config.reference_arm} at the setting of every pair; "
        f"{_under(study)}{parts['confirm']}\n"
        f"besides: {besides}\n"
        f"in all {total(parts.values())}, {concurrency} at once on {where}, as fast as this machine\n"
        f"drawn to try: {', '.join(f'{count} of {confirm.replicates} {arm}' for arm, count in drawn.items())}\n"
        f"{_what_can_be_decided(study)}",
        soft_wrap=True,
    )
    return 0


def _under(study: "Study") -> str:
    """How much is confirmed under further conditions."""
    declared, swept = len(study.config.conditions) - 1, sum(one.gain is not None for one in study.conditions.values())
    parts = [f"under {declared} further conditions"] if declared else []
    parts += [f"at {swept} points of the gain sweep"] if swept else []
    return f"and {' and '.join(parts)}, until the criterion is met; " if parts else ""


def _realised_sparsity(study: "Study") -> list[str]:
    """A line for each target_sparsity that the number of neurons per region rounds to another share."""
    from biotune.topology import rounding_of

    asked = dict.fromkeys(
        (arm.topology.neurons_per_region, arm.topology.target_sparsity)
        for arm in study.arms.values()
        if isinstance(arm.topology.neurons_per_region, int)
    )
    return [
        f"topology.target_sparsity: {sparsity:g} of {neurons} neurons is {came}"
        for neurons, sparsity in asked
        if isinstance(neurons, int) and (came := rounding_of(sparsity, neurons))
    ]


def _what_can_be_decided(study: "Study") -> str:
    """Which ratios the confirmation can show, at spreads of the log ratio that such studies have."""
    from biotune.results import POSITIVE_CONTROL
    from biotune.statistics import bonferroni, detectable_ratio, equivalence_power

    pairs, margin = study.config.confirm.replicates, study.config.equivalence_margin
    if pairs < 2:
        return "WARNING: one pair has no interval, so nothing can be decided; raise confirm.replicates to 8 or more"
    confidence = bonferroni(sum(arm not in (study.config.reference_arm, POSITIVE_CONTROL) for arm in study.arms))
    ratios = [detectable_ratio(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    equal = [equivalence_power(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    least, most = TYPICAL_SPREADS
    sentence = (
        f"{pairs} pairs show, with a power of 80 %, a true ratio of {ratios[0]:.2f} as slower by more than the margin, "
        f"and equal arms as practically equivalent in {100 * equal[0]:.0f} % of studies, if the standard deviation of "
        f"a pair's log ratio is {least}; "
        f"{ratios[1]:.2f} and {100 * equal[1]:.0f} % if it is {most}"
    )
    hardly = equal[0] < 0.2 and ratios[0] > 1.5
    return f"WARNING: that can hardly decide anything, raise confirm.replicates: {sentence}" if hardly else sentence
