"""What is no results directory, or a damaged one: one sentence that says what is wrong, and no traceback."""

import copy
import re
from functools import partial, reduce
from operator import getitem

import numpy as np
import pandas as pd
import pytest

from biotune.errors import UserError
from biotune.report import read_report
from biotune.report.inputs import Inputs
from biotune.report.results.analysis import summarise
from biotune.report.text.report import describe
from biotune.results import Results


class TestBadInput:
    def test_not_a_directory(self, tmp_path):
        with pytest.raises(UserError, match="no such directory"):
            read_report(tmp_path / "none")
        with pytest.raises(UserError, match="not a results directory"):
            read_report(tmp_path)

    def test_another_schema(self, simulate):
        directory = simulate(trials=2)
        state = Results(directory).read_json("state")
        Results(directory).write_json("state", state | {"schema": 99})
        with pytest.raises(UserError, match="schema 99"):
            read_report(directory)

    @pytest.mark.parametrize("key", ["confirm", "criterion", "equivalence_margin", "arms", "search", "tune", "task"])
    def test_a_study_that_lacks_a_key(self, simulate, key):
        directory = simulate(trials=2, edit=lambda study: study.pop(key))
        with pytest.raises(UserError, match=rf"study.yaml: lacks {key}"):
            read_report(directory)

    def test_a_state_that_lacks_a_key(self, simulate):
        directory = simulate(trials=2)
        state = Results(directory).read_json("state")
        del state["conditions"]
        Results(directory).write_json("state", state)
        with pytest.raises(UserError, match=r"state.json: lacks conditions"):
            read_report(directory)

    @pytest.mark.slow
    @pytest.mark.parametrize("file", ["study.yaml", "state.json", "environment.json"])
    def test_every_key_of_the_files_may_be_wrong(self, simulate, file):
        results = Results(simulate(ratios={"marmoset": 1.0, "degrees": 0.5}, trials=1, pairs=2))
        read, write = results.read_study, results.write_study
        if file != "study.yaml":
            name = file.removesuffix(".json")
            read, write = partial(results.read_json, name), partial(results.write_json, name)
        content = read()

        def keys(part, above=()):
            for key, value in part.items():
                yield *above, key
                if isinstance(value, dict):
                    yield from keys(value, (*above, key))

        refusals = []
        for *above, key in keys(content):
            for wrong in ("nothing", ["a list"]):
                changed = copy.deepcopy(content)
                place = reduce(getitem, above, changed)
                del place[key]
                if wrong != "nothing":
                    place[key] = wrong
                write(changed)
                try:  # with or without the key, there is a summary or one sentence
                    inputs = Inputs.read(results)
                    describe(summarise(inputs), inputs)
                except UserError as error:
                    refusals.append(str(error))
        assert refusals
        assert all(file in refusal and "\n" not in refusal for refusal in refusals)
        (results.path / file).write_text("[]")
        with pytest.raises(UserError, match=rf"{file}: its content"):
            Inputs.read(results)

    def test_a_damaged_table(self, simulate):
        directory = simulate(trials=2)
        (directory / "curves.parquet").write_bytes(b"PAR1")
        with pytest.raises(UserError, match=r"curves.parquet"):
            read_report(directory)


@pytest.mark.parametrize("name", ["state.json", "environment.json", "study.yaml"])
def test_a_document_that_is_none_is_a_line(simulate, name):
    directory = simulate(trials=2)
    for text in ("[1]", "null", "", "{}", "1", "\xff", "[" * 5000, "{", "a: !!int b"):
        (directory / name).write_text(text)
        with pytest.raises(UserError, match=rf"{re.escape(name)}|written with schema None") as error:
            read_report(directory)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["convergence", "curves", "trials", "topologies", "matrices"])
def test_a_table_of_another_kind_is_a_line(simulate, name):
    directory = simulate(trials=2)
    file = directory / f"{name}.parquet"
    content = file.read_bytes()
    table = pd.read_parquet(file)
    numbers = [column for column in table if table[column].dtype.kind in "fi"]
    damaged = [
        *(table.assign(**{column: "text"}) for column in numbers),
        *(table.assign(**{column: np.inf}) for column in numbers),
        *(table.drop(columns=column) for column in table),
        pd.concat([table, table]),
        table.iloc[:0],
        *([table.assign(bins=10**6)] if name == "matrices" else []),
    ]
    for changed in damaged:
        changed.to_parquet(file)
        with pytest.raises(UserError, match=f"{name}.parquet") as error:
            read_report(directory)
        assert len(str(error.value).splitlines()) == 1
    for cut in (0, 3, len(content) // 2, len(content) - 3):
        file.write_bytes(content[:cut])
        with pytest.raises(UserError, match=f"{name}.parquet"):
            read_report(directory)
