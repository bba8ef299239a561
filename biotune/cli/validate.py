"""`biotune validate`: how often a study's design is wrong, in simulated studies and when run with other seeds."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from biotune.cli.arguments import count, looks_of, natural, number, path, ratios, seeds
from biotune.errors import UserError

if TYPE_CHECKING:
    from biotune.validate import looks, selection
    from biotune.validate.conditions import Family
    from biotune.validate.intervals import Coverage
    from biotune.validate.simulate import Found


def add_commands(commands: Any) -> None:
    """Adds `validate` and its subcommands.

    Args:
        commands: what `add_subparsers` returned.
    """
    validate = commands.add_parser("validate", help="how often a study's design is wrong")
    verbs = validate.add_subparsers(required=True, metavar="VERB")
    simulate = verbs.add_parser(
        "simulate", help="simulate studies with a known true ratio, and count the report's verdicts"
    )
    simulate.add_argument("--space", type=path, default=Path("search_spaces/seq_mem.yaml"), metavar="FILE")
    simulate.add_argument("--studies", type=count, default=500, metavar="N", help="studies per ratio; default 500")
    simulate.add_argument("--ratios", type=ratios, metavar="R,R,…", help="default 1,1.05,1.2,2")
    simulate.add_argument("--seed", type=natural, default=1, metavar="N")
    simulate.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY.PATH=VALUE")
    for name, what in (
        ("typical", "updates to criterion of the reference, as a share of the budget; default 0.25"),
        ("between", "standard deviation of log updates over replicates, shared by the arms; default 0.3"),
        ("spread", "standard deviation of a pair's log ratio; default 0.25"),
        ("noise", "standard deviation of an evaluation's log loss; default 0.05"),
    ):
        simulate.add_argument(f"--{name}", type=number, metavar="X", help=what)
    simulate.add_argument(
        "--shape", choices=("normal", "lognormal", "stragglers"), help="of the log ratios' distribution; default normal"
    )
    simulate.add_argument("--json", type=path, metavar="FILE", help="also write the shares to this file")
    simulate.set_defaults(command=_simulate)
    chosen = verbs.add_parser(
        "selection", help="simulate searches of arms that are equally fast at their best, and count the claims"
    )
    chosen.add_argument("--studies", type=count, default=500, metavar="N", help="studies per design; default 500")
    chosen.add_argument("--seed", type=natural, default=1, metavar="N")
    chosen.add_argument("--keys", type=count, metavar="N", help="number of tuned keys; default 2")
    for name, what in (
        ("curvature", "of log updates over the unit cube of the tuned keys; default 4"),
        ("distance", "between the optima of the reference and of a null; default 0.3"),
        ("spread", "standard deviation of a pair's log ratio at one setting; default 0.25"),
        ("seen", "ASHA stops trials by what correlates so much with their log updates; default: it stops none"),
    ):
        chosen.add_argument(f"--{name}", type=number, metavar="X", help=what)
    chosen.add_argument("--json", type=path, metavar="FILE", help="also write the shares to this file")
    chosen.set_defaults(command=_selection)
    intervals = verbs.add_parser("intervals", help="how often the intervals hold if log ratios are not normal")
    intervals.add_argument("--studies", type=count, default=2000, metavar="N", help="default 2000")
    intervals.add_argument("--seed", type=natural, default=1, metavar="N")
    intervals.add_argument("--json", type=path, metavar="FILE", help="also write the shares to this file")
    intervals.set_defaults(command=_intervals)
    over = verbs.add_parser("conditions", help="how often what is said over several conditions is wrong")
    over.add_argument("--studies", type=count, default=300, metavar="N", help="default 300")
    over.add_argument("--seed", type=natural, default=1, metavar="N")
    over.add_argument("--json", type=path, metavar="FILE", help="also write the shares to this file")
    over.set_defaults(command=_conditions)
    sequential = verbs.add_parser(
        "looks", help="simulate studies that take planned looks, and count what they say wrongly"
    )
    sequential.add_argument(
        "--studies", type=count, default=2000, metavar="N", help="of each ratio and model; default 2000"
    )
    sequential.add_argument(
        "--looks", type=looks_of, metavar="N,N,…", help="planned numbers of pairs; default 16,32,64"
    )
    sequential.add_argument("--ratios", type=ratios, metavar="R,R,…", help="default 1,1.05,1.2,1.35,2")
    sequential.add_argument("--arms", type=count, metavar="N", help="besides the reference; default 3")
    sequential.add_argument("--seed", type=natural, default=1, metavar="N")
    sequential.add_argument("--json", type=path, metavar="FILE", help="also write the shares to this file")
    sequential.set_defaults(command=_looks)
    repeat = verbs.add_parser("repeat", help="run a whole study with each of several seeds, and count its verdicts")
    repeat.add_argument("--space", type=path, required=True, metavar="FILE", help="the study's YAML")
    repeat.add_argument("--seeds", type=seeds, required=True, metavar="FIRST-LAST", help="or a list: 1,5,9")
    repeat.add_argument("--output", type=path, default=Path("results"), metavar="DIR", help="default: results/")
    repeat.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY.PATH=VALUE")
    repeat.add_argument("--json", type=path, metavar="FILE", help="also write every verdict to this file")
    repeat.set_defaults(command=_repeat)


def _simulate(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.validate.simulate import RATIOS, Model, simulate

    given = {name: getattr(arguments, name) for name in asdict(Model()) if getattr(arguments, name) is not None}
    if given.get("typical") == 0:
        raise UserError("--typical 0: give a number above 0")
    model = Model(**given)
    found = list(
        simulate(
            arguments.space,
            ratios=arguments.ratios or RATIOS,
            studies=arguments.studies,
            model=model,
            seed=arguments.seed,
            overrides=arguments.overrides,
        )
    )
    console.print(_shares(found))
    if arguments.json:
        content = {"space": str(arguments.space), "model": asdict(model), "found": [asdict(row) for row in found]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def _selection(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.validate.selection import LARGEST_DISTANCE, Model, designs, simulate

    names = ("keys", "curvature", "distance", "spread", "seen")
    model = Model(**{name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None})
    if model.distance > LARGEST_DISTANCE:
        raise UserError(f"--distance {model.distance:g}: give {LARGEST_DISTANCE} or less, so that both optima fit")
    if model.seen is not None and model.seen > 1:
        raise UserError(f"--seen {model.seen:g}: give a correlation, 1 or less")
    found = [simulate(design, model, arguments.studies, arguments.seed) for design in designs()]
    console.print(_claims(found))
    if arguments.json:
        content = {"model": asdict(model), "found": [asdict(row) for row in found]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def _intervals(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.validate.intervals import SPREAD, coverages

    found = list(coverages(arguments.studies, arguments.seed))
    console.print(_coverages(found))
    if arguments.json:
        content = {"spread": SPREAD, "found": [asdict(row) for row in found]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def _conditions(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.validate.conditions import ARMS, PAIRS, RATIO, families

    found = list(families(arguments.studies, arguments.seed))
    console.print(_families(found))
    if arguments.json:
        content = {"arms": ARMS, "pairs": PAIRS, "ratio": RATIO, "found": [asdict(row) for row in found]}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def _looks(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.statistics import LEAST_PAIRS
    from biotune.validate.looks import LOOKS, MODELS, RATIOS, simulate

    looks = arguments.looks or list(LOOKS)
    if sorted(set(looks)) != looks or looks[0] < LEAST_PAIRS:
        raise UserError(f"--looks {','.join(map(str, looks))}: must rise, from {LEAST_PAIRS} pairs or more")
    given = arguments.ratios or RATIOS
    found = list(simulate(list(MODELS), given, looks, arguments.studies, arguments.seed, arguments.arms))
    console.print(_by_look(found))
    if arguments.json:
        content = {"models": {name: asdict(model) for name, model in MODELS.items()}}
        arguments.json.write_text(json.dumps(content | {"found": [asdict(row) for row in found]}, indent=2) + "\n")
    return 0


def _repeat(arguments: argparse.Namespace, console: Console) -> int:
    from biotune.validate.repeat import run_seed, verdicts

    rows: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        directory = run_seed(arguments.space, seed, arguments.output, arguments.overrides)
        summary = json.loads((directory / "summary.json").read_text())
        rows += [{"seed": seed, "results": str(directory), **row} for row in verdicts(summary)]
        if arguments.json:  # after each seed, so that a kill loses none
            content = {"space": str(arguments.space), "set": arguments.overrides, "verdicts": rows}
            arguments.json.write_text(json.dumps(content, indent=2) + "\n")
    console.print(_each(rows))
    console.print(_counted(rows))
    return 0


def _shares(found: Sequence["Found"]) -> Table:
    first = found[0]
    table = Table(
        title=f"{first.studies} simulated studies of each true ratio, {first.arms} arms beside the reference, "
        f"{first.pairs} pairs, {100 * first.confidence:.1f} % intervals; wrong: in any of the arms"
    )
    for column in ("true ratio", "covered", "verdicts"):
        table.add_column(column, no_wrap=column == "verdicts")
    for column in ("wrong direction", "wrong beyond", "wrong within", "bounds", "censored"):
        table.add_column(column)
    for row in found:
        covered = "–" if row.covered is None else f"{100 * row.covered:.1f} % ± {100 * row.error:.1f}"
        table.add_row(
            f"{row.ratio:g}",
            covered,
            "\n".join(f"{name} {100 * share:.1f} %" for name, share in row.verdicts.items()),
            *(f"{100 * share:.1f} %" for share in (row.wrong_direction, row.wrong_beyond, row.wrong_within)),
            f"{100 * row.bounds:.1f} %",
            f"{100 * row.censored:.1f} %",
        )
    return table


def _claims(found: Sequence["selection.Found"]) -> Table:
    from biotune.validate.selection import ESTIMANDS

    table = Table(
        title=f"{found[0].studies} studies of each design, arms equally fast at their best: any faster + any slower"
    )
    for column in ("common settings", "nulls", *ESTIMANDS, "claim beyond the margin", "claims changed by a null"):
        table.add_column(column)
    for row in found:
        design = row.design
        agree = "" if design.nulls == 1 else ", agree" if design.agree else ", disagree"
        table.add_row(
            str(design.settings),
            f"{design.nulls}{agree}",
            *(f"{100 * row.faster[name]:.1f} + {100 * row.slower[name]:.1f} %" for name in ESTIMANDS),
            "{:.1f} + {:.1f} %".format(*(100 * share for share in row.beyond["claim"])),
            f"{100 * row.changed:.1f} %",
        )
    return table


def _coverages(found: Sequence["Coverage"]) -> Table:
    table = Table(title=f"{found[0].studies} studies: intervals wholly below and above the true ratio; median width")
    names = list(dict.fromkeys(row.interval for row in found))
    for column in ("log ratios", "pairs", "asked", *names):
        table.add_column(column)
    cells = {(row.shape, row.pairs, row.confidence, row.interval): row for row in found}
    for shape, pairs, confidence in dict.fromkeys((row.shape, row.pairs, row.confidence) for row in found):
        rows = [cells[shape, pairs, confidence, name] for name in names]
        shown = (f"{100 * row.low:.2f} + {100 * row.high:.2f} %; {row.width:.2f}" for row in rows)
        table.add_row(shape, str(pairs), f"{50 * (1 - confidence):.2f} % each", *shown)
    return table


def _families(found: Sequence["Family"]) -> Table:
    table = Table(title=f"{found[0].studies} studies of each kind: how often what is said over conditions is wrong")
    for column in (
        *("conditions", "correlated", "with an effect", "together: left out", "width"),
        *("everywhere", "in too many", "alone: left out"),
    ):
        table.add_column(column)
    for row in found:
        shares = (row.left_out, row.width, row.everywhere, row.too_many, row.alone)
        table.add_row(
            str(row.conditions), f"{row.shared:g}", str(row.effects), *(f"{100 * share:.1f} %" for share in shares)
        )
    return table


def _by_look(found: Sequence["looks.Found"]) -> Table:
    first = found[0]
    table = Table(
        title=f"{first.studies} studies of each model and ratio, looks at {', '.join(map(str, first.looks))} pairs; "
        "wrong: in any of the arms"
    )
    for column in ("log updates", "true ratio", "covered", "wrong direction", "wrong beyond", "wrong within"):
        table.add_column(column)
    for column in ("decided, %", "pairs", "early estimate"):
        table.add_column(column, no_wrap=column.startswith("decided"))
    for row in found:
        wrong = (row.wrong_direction, row.wrong_beyond, row.wrong_within)
        table.add_row(
            row.model,
            f"{row.ratio:g}",
            "–" if row.covered is None else f"{100 * row.covered:.1f} %",
            *(f"{100 * share:.2f} %" for share in wrong),
            " · ".join(f"{100 * share:.0f}" for share in row.decided.values()),
            f"{row.pairs:.1f}",
            "–" if row.estimate is None else f"{row.estimate:.2f}",
        )
    return table


def _each(rows: Sequence[dict[str, Any]]) -> Table:
    from biotune.validate.repeat import SHOWN

    table = Table(title="Updates to criterion, ratio to the reference, and its interval")
    for column in ("seed", "arm", *SHOWN.values()):
        table.add_column(column)
    found = {(row["seed"], row["arm"], row["phase"]): row for row in rows}
    for seed, arm in dict.fromkeys((row["seed"], row["arm"]) for row in rows):
        table.add_row(str(seed), arm, *(_spell(found.get((seed, arm, phase))) for phase in SHOWN))
    return table


def _spell(row: dict[str, Any] | None) -> str:
    if row is None or row["ratio"] is None:
        return row["verdict"] if row else ""
    ends = (f"{row[end]:.2f}" if row[end] is not None else "∞" for end in ("low", "high"))
    return f"{row['verdict']}  {row['ratio']:.2f} [{', '.join(ends)}]"


def _counted(rows: Sequence[dict[str, Any]]) -> Table:
    from biotune.validate.repeat import SHOWN

    table = Table(title="How often")
    for column in ("arm", *SHOWN.values()):
        table.add_column(column)
    for arm in dict.fromkeys(row["arm"] for row in rows):
        counts = (Counter(r["verdict"] for r in rows if r["arm"] == arm and r["phase"] == phase) for phase in SHOWN)
        table.add_row(arm, *(", ".join(f"{verdict} {n}" for verdict, n in count.most_common()) for count in counts))
    return table
