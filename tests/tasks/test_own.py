"""A user's own task: the how-to page as it stands, and every way in which a task can be wrong."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from biotune.errors import UserError
from biotune.results import Results
from biotune.study import load_study
from biotune.study.plans.plans import Plans
from biotune.tasks import make_task
from biotune.training import Trial

PAGE = Path("docs/tasks.md").resolve()
TUNE_MAIN = Path("tune_main.py").resolve()
STUDY = """# Is a task of one's own learnt?
name: own
{task}arms:
  real: {{}}
reference_arm: real
connectome: {{name: "distance_rule:mouse_gamanut"}}
tune:
  learning_rate: {{loguniform: [1.0e-3, 1.0e-2]}}
search: {{trials_per_arm: 1, shared_settings: 1, replicates: 2, max_epochs: 9}}
confirm: {{replicates: 2, max_epochs: 9}}
"""


def block(language: str) -> str:
    """The how-to's only block of a language under its last heading."""
    [found] = re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text().partition("## A task of your own")[2], re.M | re.S
    )
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the how-to page shows: the task's file, and a study of it."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "add.py").write_text(block("python"))
    (tmp_path / "study.yaml").write_text(STUDY.format(task=block("yaml")))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_how_to_gives_a_task_that_is_learnt(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study("study.yaml")
    assert study.config.task.name == f"{project}/tasks/add.py:Add"
    assert study.resolved()["task"]["length"] == 6
    monkeypatch.chdir("/")
    trial = Trial(Plans.load(study).plan("real", {"learning_rate": 3e-3}, "search", [0]))
    targets = study.task.trials(50_000, np.random.default_rng(1)).targets
    assert float(np.mean((targets - 1) ** 2)) == pytest.approx(study.task.null_loss, rel=0.02)
    for _ in range(20):
        trial.run_epoch()
    assert trial.loop.best_losses()[0] < 0.8 * study.task.null_loss


@pytest.mark.long
def test_the_how_to_runs_on_workers(project: Path) -> None:
    command = [sys.executable, TUNE_MAIN, "--space", "study.yaml", "--output", "results"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [directory] = (project / "results").iterdir()
    results = Results.open(directory)
    assert results.read_table("trials")["status"].tolist() == ["completed"]
    assert len(results.read_table("convergence")) == 4
    methods = " ".join((directory / "report" / "index.html").read_text().split())
    assert "trained on add.py:Add" in methods
    again = [sys.executable, TUNE_MAIN, "--resume", directory]
    done = subprocess.run(again, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 0, done.stderr
    results.write_json("state", results.read_json("state") | {"phase": "confirm"})  # as one that is not done
    with (project / "tasks" / "add.py").open("a") as file:
        file.write("# changed\n")
    done = subprocess.run(again, capture_output=True, text=True, timeout=300, cwd="/")
    assert done.returncode == 2
    assert "add.py:Add has changed since the study was started" in done.stderr


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., str]:
    """Writes the how-to's task with a change, and gives its name; a task of its own every time."""

    def write(old: str = "", new: str = "") -> str:
        text = block("python")
        assert old in text
        file = tmp_path / "changed.py"
        file.write_text(text.replace(old, new) if old else text)
        return f"{file}:Add"

    return write


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class Add(Task)", "class Add", "Add isn't a subclass of biotune.tasks.Task"),
        ("class Add(", "class Sum(", "'Add'; known: Sum"),
        ("@dataclass(frozen=True)\n", "", "isn't a dataclass"),
        ("null_loss = 1 / 6", "pass", "Add lacks null_loss"),
        ('name = "add"', "pass", "Add lacks name"),
        ("null_loss = 1 / 6", "null_loss = 0", "null_loss is 0; a number above 0 is needed"),
        ('loss = "mse"', 'loss = "l1"', "loss is 'l1'; mse or nll is needed"),
        (
            "import numpy as np",
            "import numpyy as np",
            "running it failed: ModuleNotFoundError: No module named 'numpyy'",
        ),
        ("class Add", "class (Add", "running it failed: SyntaxError"),
        ("sums[:, None, None]", "sums[:, None]", r"targets of 4 trials are float32 \[4, 1\]; float32 \[4, 1, 1\] is"),
        (", dtype=np.float32", "", r"inputs of 4 trials are float64 \[4, 10, 2\]; float32"),
        ("values = generator", "values = np.random.default_rng()", "the same generator gave other inputs"),
        ("(marks * values)", "(marks / 0 * values)", "targets are not all finite"),
        ("slice(self.length - 1, self.length)", "slice(0, 0)", "none of its 10 steps"),
        (
            'loss = "mse"',
            'loss = "nll"; scored = slice(9, 10); output_size = 2; ',
            r"targets of 4 trials are float32 .*; int64 \[4, 1\] is needed",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_task_that_will_not_do_is_told_why(write_task: Callable[..., str], old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_task(write_task(old, new))


def test_classes_that_are_not_there_are_named(write_task: Callable[..., str]) -> None:
    name = write_task('loss = "mse"', 'loss = "nll"')
    file = Path(name.rpartition(":")[0])
    file.write_text(file.read_text().replace("sums[:, None, None]", "1 + marks[:, :1].astype(np.int64)"))
    with pytest.raises(UserError, match="classes from 0 to 0 are needed"):
        make_task(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nowhere.py:Task", {}, r"task nowhere\.py:Task: no such file .*file\.py:Class"),
        ("no.such.module:Task", {}, "No module named 'no'"),
        ("biotune.tasks.seq_mem:SeqMen", {}, "did you mean 'SeqMem'"),
    ],
)
def test_a_name_that_leads_nowhere(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_task(name, **options)


def test_options_are_checked_and_a_class_in_a_module_is_found(write_task: Callable[..., str]) -> None:
    with pytest.raises(UserError, match="option of task add 'lenght'; did you mean 'length'"):
        make_task(write_task(), lenght=3)
    assert make_task("biotune.tasks.seq_mem:SeqMem", pattern_length=3) == make_task("seq_mem", pattern_length=3)
