"""What `checks.gpu` found, in forty lines of at most 120 columns; the failed tests come last, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.kernels import Result, Shape, best_peer

LINES, COLUMNS = 40, 120

FEWEST_NAMES = 6
"""How many lines are kept free for names of tests, if there are so many."""

Found = Mapping[str, Any]


def summary(found: Found) -> str:
    """The summary of everything that `checks.gpu` writes to `results.json`."""
    lines = [
        f"== {found['machine']}, device {found['device']}",
        "   " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        *_stages(found["stages"]),
        *_learning(found["learning"]),
        *_confirm(found["confirm"]),
        *_throughput(found["throughput"]),
        *_bench(found["bench"]),
    ]
    names = _names(found["tests"], room := max(LINES - 1 - len(lines), FEWEST_NAMES))
    if len(names) > room:
        names = [f"and {len(names) - room + 1} more, see results.json", *names[len(names) - room + 1 :]]
    verdict = "all passed" if found["passed"] else "NOT all passed"
    lines = [*lines[: LINES - 1 - len(names)], f"== {verdict}; everything is in {found['folder']}", *names]
    return "\n".join(line if len(line) <= COLUMNS else f"{line[: COLUMNS - 1]}…" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as they need; none if there are no rows."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    ]


def _failed(passed: bool, words: str) -> str:
    return words if passed else f"FAILED: {words}"


def _stages(stages: Sequence[Found]) -> list[str]:
    rows = [
        (one["name"], f"{one['seconds']:.1f}", f"{one['limit']:.0f}", _failed(one["passed"], one["words"]))
        for one in stages
    ]
    return _table(("stage", "seconds", "of", ""), rows)


def _learning(learning: Found) -> list[str]:
    """For each backend and precision: the largest deviation of a validation loss, and the last loss."""

    def cell(content: Found, backend: str) -> str:
        ran = next((one for one in content["learned"] if one["backend"] == backend), None)
        if ran is None:
            return "–"
        if ran["failure"]:
            return _failed(False, ran["failure"][:30])
        last = sum(ran["losses"][-1]) / len(ran["losses"][-1])
        return _failed(ran["deviation"] <= content["tolerance"], f"{ran['deviation']:.1e}, last loss {last:.6f}")

    backends = dict.fromkeys(one["backend"] for content in learning.values() for one in content["learned"])
    heads = [f"{name} (limit {content['tolerance']:g})" for name, content in learning.items()]
    rows = [(backend, *(cell(content, backend) for content in learning.values())) for backend in backends]
    return _table(("learning", *heads), rows)


def _confirm(confirm: Found) -> list[str]:
    """For each arm and run: its ratio of updates, and the CPU's."""

    def cell(row: Found) -> str:
        wrong = f" ({', '.join(row['wrong'])})" if row["wrong"] else ""
        return _failed(not row["wrong"], f"{row['here']:.4f}, {row['converged'][0]} converged{wrong}")

    rows = [
        (arms[0]["arm"], f"{arms[0]['there']:.4f}, {arms[0]['converged'][1]} converged", *map(cell, arms))
        for arms in zip(*confirm.values(), strict=True)
    ]
    return _table(("ratio of updates", "cpu", *confirm), rows)


def _throughput(throughput: Mapping[str, float]) -> list[str]:
    """One line."""
    figures = [f"{value:,.0f} ({name})" for name, value in throughput.items()]
    return [f"epochs of a network per second: {', '.join(figures)}"] if figures else []


def _bench(bench: Found) -> list[str]:
    """For each shape and precision: auto's milliseconds, what it chose, and the best peer's time divided by its own."""

    def cell(results: Mapping[str, Result]) -> str:
        auto, peer = results["auto"], best_peer(dict(results))
        if auto.median_ms is None:
            return _failed(False, auto.note[:30])
        return f"{auto.median_ms:.2f} {auto.note}, {'no peer' if peer is None else f'{peer[1]:.1f} {peer[0]}'}"

    shapes: dict[str, dict[str, str]] = {}
    for precision, content in bench.items():
        for row in content["rows"]:
            results = {name: Result(**one) for name, one in row["results"].items()}
            shapes.setdefault(_short(Shape(**row["shape"])), {})[precision] = cell(results)
    rows = [(shape, *(cells.get(precision, "–") for precision in bench)) for shape, cells in shapes.items()]
    return _table(("ms of auto, best peer / auto", *bench), rows)


def _short(shape: Shape) -> str:
    networks = f", {shape.population} networks" if shape.population > 1 else ""
    return f"{shape.neurons:,}, {shape.density:.2g}, {shape.steps} steps{networks}"


def _names(tests: Sequence[Found], room: int) -> list[str]:
    """A line for all tests that were not run; then one per test that failed, or per function if that is too many."""
    lines: list[str] = []
    for outcome in ("not run", "crashed", "hung", "failed"):
        why = {one["test"].removeprefix("tests/kernels/"): one["message"] for one in tests if one["outcome"] == outcome}
        if outcome == "not run":
            lines += [f"{len(why)} not run: {', '.join(why)}"] if why else []
        elif len(why) <= room - len(lines):
            lines += [f"{outcome} {name}: {message}" for name, message in why.items()]
        else:
            cases: dict[str, list[str]] = {}
            for name in why:
                cases.setdefault(name.partition("[")[0], []).append(name)
            for test, names in cases.items():
                parts = ", ".join(name.removeprefix(test) for name in names)
                shown = f"{len(names)} of {test}: {parts}" if len(names) > 1 else f"{names[0]}: {why[names[0]]}"
                lines.append(f"{outcome} {shown}")
    return lines
