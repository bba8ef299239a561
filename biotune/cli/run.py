"""`biotune run`, which is also `python tune_main.py`: search, confirm, report."""

import argparse
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from biotune.cli.arguments import names, natural, path
from biotune.cli.running import add_machine_arguments, options_of, run_and_report
from biotune.errors import UserError

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
    from biotune.study.directory.mirror import fetch
    from biotune.study.directory.resume import load_resumed
    from biotune.study.run import run_study
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
    options = options_of(arguments, storage, arguments.kernels or "auto")
    return run_and_report(lambda: run_study(study, options, console, resume=resume, repair=arguments.repair), console)


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
    """Which ratios the first look can show, at spreads of the log ratio that such studies have."""
    from biotune.statistics import detectable_ratio, equivalence_power, look_confidence

    confirm, margin = study.config.confirm, study.config.equivalence_margin
    pairs, looks = confirm.replicates, confirm.planned
    more = "confirm.replicates" if len(looks) == 1 else "the numbers of confirm.looks"
    if pairs < 2:
        return f"WARNING: one pair has no interval, so nothing can be decided; raise {more} to 8 or more"
    confidence = look_confidence(looks, pairs, len(study.config.arms) - 1)
    ratios = [detectable_ratio(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    equal = [equivalence_power(spread, pairs, confidence, margin) for spread in TYPICAL_SPREADS]
    least, most = TYPICAL_SPREADS
    those = "" if len(looks) == 1 else f", those of the first of {len(looks)} planned looks,"
    sentence = (
        f"{pairs} pairs{those} show, with a power of 80 %, a true ratio of {ratios[0]:.2f} as slower by more than the "
        f"margin, and equal arms as practically equivalent in {100 * equal[0]:.0f} % of studies, if the standard "
        f"deviation of a pair's log ratio is {least}; {ratios[1]:.2f} and {100 * equal[1]:.0f} % if it is {most}"
    )
    hardly = equal[0] < 0.2 and ratios[0] > 1.5
    what = "that" if len(looks) == 1 else "the first look"
    return f"WARNING: {what} can hardly decide anything, raise {more}: {sentence}" if hardly else sentence
