"""What is no results directory, or a damaged one: one sentence that says what is wrong, and no traceback."""

import copy
from functools import partial, reduce
from operator import getitem

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
        del state["budget"]
        Results(directory).write_json("state", state)
        with pytest.raises(UserError, match=r"state.json: lacks budget"):
            read_report(directory)

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
