"""What must hold of a study's results, whatever happened while it ran: nothing lost, doubled, or trained again."""

import json
from collections import Counter
from collections.abc import Iterator

import pandas as pd

from biotune.results import RUNNING, TABLES, Results
from biotune.results.documents import Cell
from biotune.results.journal import Event
from biotune.study.definition.load import load_study


def events_of(results: Results) -> list[Event]:
    """The journal's events, oldest first; the file is left as it is."""
    return results.journal().read(mend=False)


def differences(one: Results, other: Results) -> list[str]:
    """What differs between the tables and the summaries of two runs, bit for bit, but for the time that they took."""
    found = []
    for name in TABLES:
        left, right = (results.read_table(name).drop(columns="seconds", errors="ignore") for results in (one, other))
        try:
            pd.testing.assert_frame_equal(left, right, check_exact=True)
        except AssertionError as error:
            found.append(f"{name}.parquet differs: {' '.join(str(error).split())}")
    summaries = [_numbers(results) for results in (one, other)]
    found += [f"summary.json differs in {key}" for key in summaries[0] if summaries[0][key] != summaries[1].get(key)]
    return found


def _numbers(results: Results) -> dict[str, str]:
    summary = results.read_json("summary")
    summary["looks"] |= dict.fromkeys([key for key in summary["looks"] if key.startswith("seconds")])
    return {key: json.dumps(value) for key, value in summary.items() if key not in ("seconds", "environment")}


def faults(results: Results) -> list[str]:
    """What is wrong in the results of a study that has ended."""
    return [*_faults_of_tables(results), *_faults_of_journal(events_of(results)), *_leftovers(results)]


def _faults_of_tables(results: Results) -> Iterator[str]:
    config = load_study(results.path / "study.yaml").config
    trials, curves = results.read_table("trials"), results.read_table("curves")
    count = Counter(trials["trial"])
    yield from (f"trial {name} is there {times} times" for name, times in count.items() if times > 1)
    for arm, found in Counter(trials["arm"]).items():
        if found != config.search.trials_per_arm:
            yield f"arm {arm} has {found} trials, not {config.search.trials_per_arm}"
    rows = trials.to_dict("records")
    yield from (f"trial {row['trial']} has not ended" for row in rows if row["status"] == RUNNING)
    for curve, epochs in curves.groupby(["phase", "trial", "replicate"])["epoch"]:
        if epochs.tolist() != list(range(len(epochs))):
            yield f"curve {curve}: epochs are missing, or there twice"
    reached = curves[curves["phase"] == "search"].groupby("trial")["epoch"].max().to_dict()
    for row in rows:
        if row["epochs"] != reached.get(row["trial"], 0):
            yield f"trial {row['trial']} has {row['epochs']} epochs, its curve {reached.get(row['trial'], 0)}"
    for confirmed, replicates in results.read_table("convergence").groupby(["phase", "arm"])["replicate"]:
        if replicates.tolist() != list(range(config.confirm.replicates)):
            yield f"{confirmed} has the replicates {replicates.tolist()}"
    state = results.read_state()
    if state.phase != "finished":
        yield f"the study ended in {state.phase}"
    yield from (f"checkpoint {name} could not be read: {reason}" for name, reason in state.set_aside.items())
    if not (results.path / "report" / "index.html").is_file():
        yield "there is no report"


def _faults_of_journal(events: list[Event]) -> Iterator[str]:
    ended: set[str] = set()
    for event in events:
        if event["event"] == "progress" and event["trial"] in ended:
            yield f"trial {event['trial']} was run again after it had ended"
        if event["event"] == "ended":
            ended.add(event["trial"])
    once = {
        "proposed": lambda event: event["trial"],
        "ended": lambda event: event["trial"],
        "confirmed": lambda event: Cell(**event["cell"]).checkpoint(event["replicates"][0]),
        "selected": lambda event: "",
    }
    times = Counter((event["event"], once[event["event"]](event)) for event in events if event["event"] in once)
    yield from (f"{name} {what} is in the journal {count} times" for (name, what), count in times.items() if count > 1)


def _leftovers(results: Results) -> Iterator[str]:
    for file in results.path.rglob(".*.tmp"):
        yield f"{file.relative_to(results.path)} was left behind"
