"""The command line used wrongly: one line that says what would do, exit code 2, and nothing written."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from biotune.cli import main, tune_main
from biotune.digests import study_digest
from biotune.results import PHASES, SCHEMA, Results
from biotune.study.plans.plans import Plans
from biotune.study.resources import timing
from biotune.study.resources.estimate import Costs, Measured

SPACE, AA = "search_spaces/seq_mem.yaml", "search_spaces/aa.yaml"
OFFLINE = ("--set", "connectome.name=distance_rule:marmoset")


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry runs train no trial to time it, which takes half a minute; those of tests/test_docs.py do."""

    def measure(plans: Plans, reading: float, **_: int) -> Measured:
        trials = {phase: dict.fromkeys(plans.study.arms, Costs(0.1, 0.1, 0.02)) for phase in PHASES}
        return Measured(process=3.0, reading=reading, kernels=1.0, trials=trials)

    monkeypatch.setattr(timing, "measure", measure)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "search_spaces/seqmem.yaml"], "no such file"),
        ([], "--space FILE is missing"),
        ([SPACE, "--space", SPACE], f"{SPACE}: --space {SPACE} is given too; give one of them"),
        (["seq_men"], "did you mean 'seq_mem'"),
        (["--space", SPACE, "--arms", "marmosett"], "did you mean 'marmoset'"),
        (["--space", SPACE, "--set", "search.trials_per_arm=0"], "trials_per_arm"),
        (["--space", SPACE, "--set", "connectome.name=marmosett"], "did you mean 'marmoset'"),
        (["--space", SPACE, "--set", "connectome.otherwise=distance_rul"], "did you mean 'distance_rule'"),
        (["--space", SPACE, "--set", "reference_arm=macaque"], "unknown arm 'macaque'"),
        (["--space", SPACE, *OFFLINE, "--output", "pyproject.toml/results"], "is a file; name a folder"),
        (["--space", SPACE, "--set", "task.patern_length=3"], "--set task.patern_length: "),
        (["--space", SPACE, "--set", "tune.learning_rate=0.1"], "(loguniform, uniform, int, choice), found 0.1"),
        (["--space", SPACE, *OFFLINE, "--dry-run", "--gpus-per-trial", "64"], "the largest node has"),
        (
            ["--space", SPACE, *OFFLINE, "--dry-run", "--kernels", "cuda_graph", "--gpus-per-trial", "0"],
            "backend cuda_graph can't be used on",
        ),
        (["--space", SPACE, "--kernels", "tritn"], "unknown kernels 'tritn'; did you mean 'triton'? known: auto, "),
        (["--resume", "search_spaces"], "not a results directory"),
        (["--resume", "nowhere"], "no such directory"),
        (["--resume", "nowhere", "--seed", "3"], "--seed: a resumed study goes on as it was started"),
        (["--resume", "nowhere", "--kernels", "cpu"], "--kernels: a resumed study goes on as it was started"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "--output" not in arguments:
        arguments = [*arguments, "--output", str(tmp_path / "results")]
    assert tune_main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_results_are_not_left_in_rays_copy_of_a_jobs_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "working_dir_files" / "package" / "results"
    assert tune_main(["--space", SPACE, *OFFLINE, "--output", str(output)]) == 2
    assert "in Ray's copy of the job's folder" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.usefixtures("untimed")
def test_a_dry_run_for_a_cluster_counts_the_cores_of_a_trial(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--dry-run", "--address", "127.0.0.1:1", "--cpus-per-trial", "4096", "--arms", "marmoset")
    assert tune_main(["--space", SPACE, *OFFLINE, *options]) == 0
    assert ", 1 at once on cores, " in capsys.readouterr().out


def test_the_results_in_a_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Results(tmp_path / "seq_mem-1").write_json("state", {"schema": SCHEMA})
    assert tune_main(["--resume", str(tmp_path)]) == 2
    assert "those in it are seq_mem-1" in capsys.readouterr().err


def write_start(results: Results, study: dict[str, Any], schema: int | None) -> None:
    """What of a results directory is looked at first."""
    results.write_study(study)
    results.write_json("state", {"schema": schema, "study_sha256": study_digest(study), "phase": "finished"})


def test_a_results_directory_of_another_study_or_version_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from biotune.study import load_study

    results = Results(tmp_path / "other")
    write_start(results, load_study(SPACE, seed=7).resolved(), SCHEMA)
    assert tune_main(["--resume", str(results.path), "--space", SPACE]) == 2
    assert "holds another study than search_spaces/seq_mem.yaml: seed is 7 there and 1 here" in capsys.readouterr().err


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1, None])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--resume", "OLD"],
        ["run", "--resume", "OLD", "--dry-run"],
        ["run", "--space", AA, "--set", "network.start_from={results: OLD}", "--dry-run"],
        ["report", "OLD"],
        ["report", "OLD", "OLD"],
        ["monitor", "OLD"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_results_of_another_schema_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], schema: int | None
) -> None:
    from biotune.study import load_study

    results = Results(tmp_path / "old")
    write_start(results, load_study(SPACE).resolved(), schema)
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.replace("OLD", str(results.path)) for argument in arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{results.path}: written with schema {schema}, this version reads {SCHEMA}; run the study again" in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus-per-trial", "64"], "the largest node has"),
        (["--cpus-per-trial", "4096"], "the largest node has"),
        (["--address", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
    ],
)
@pytest.mark.long
def test_what_no_machine_has_is_refused_at_once(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "tune_main.py", "--space", SPACE, *OFFLINE, "--output", str(tmp_path / "results")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("untimed")
def test_a_dry_run_prints_the_study_and_what_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--space", SPACE, *OFFLINE, "--dry-run", "--output", str(tmp_path / "results")]
    assert tune_main(arguments) == 0
    printed = capsys.readouterr().out
    assert "intrinsic_weight: 0.8" in printed
    assert "64 trials" in printed
    assert re.search(r"^in all \d+ to \d+ (seconds|minutes), ", printed, re.M)
    assert re.search(r"^besides: starting Python and Ray .*, reading .*, drawing topologies .*, report ", printed, re.M)
    assert "topology.target_sparsity: 0.8 of 4 neurons is 3 of 4, a share of 0.75" in printed
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["report", "--help"], ["--version"]])
def test_help_is_there(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["connectome", "show", "--help"]])
def test_help_and_version_load_nothing_that_takes_time(arguments: list[str]) -> None:
    script = (
        "import sys; from biotune.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print([name for name in ('torch', 'pandas', 'ray', 'pyarrow', 'scipy', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rn"], "invalid choice: 'rn' .*did you mean 'run'"),
        (["run", "--spcae", "x"], "unrecognized arguments: --spcae; did you mean '--space'"),
        (["validate", "simulate", "--rations", "2"], "did you mean '--ratios'"),
        (["connectome", "shwo", "marmoset"], "did you mean 'show'"),
        (["run", "--concurrency", "0"], "is not a whole number of at least 1"),
        (["run", "--seed", "1" * 5000], "--seed"),
        (["connectome", "show"], "the following arguments are required: NAME"),
    ],
)
def test_a_mistyped_argument_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("untimed")
def test_nothing_of_the_users_is_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "[bold]:smile:[/red].csv"
    file.parent.mkdir(parents=True)
    file.write_text("source,target,weight\n[/a],[b],1\n[b],c,2\nc,d,3\nd,e,4\n")
    assert main(["connectome", "show", "[/x]", "--path", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "[/x]" in printed
    assert "[bold]:smile:[/red].csv" in printed
    space = _one_cycle(tmp_path)
    nasty = f"connectome.path={file}", "topology.spectral_radius=as_it_comes", "description='[/red] :smile: [bold]'"
    options = [part for override in nasty for part in ("--set", override)]
    assert tune_main(["--space", str(space), "--dry-run", *options]) == 0
    printed = capsys.readouterr().out
    assert "[/red] :smile: [bold]" in printed
    assert "[bold]:smile:[/red].csv" in printed


def test_debug_shows_what_an_error_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "damaged.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")
    for arguments, shown in (([], False), (["--debug"], True)):
        assert main([*arguments, "connectome", "show", "x", "--path", str(file)]) == 2
        error = capsys.readouterr().err
        assert ("Traceback" in error) == shown
        assert error.splitlines()[-1].startswith(f"error: {file}: not readable as a .npy file")


def _one_cycle(folder: Path) -> Path:
    """A study of a connectome with one cycle, whose rewired versions have none."""
    (folder / "one_cycle.csv").write_text("source,target,weight\nA,B,5\nB,A,4\nB,C,3\nC,D,2\nD,E,6\nE,F,1\n")
    file = folder / "space.yaml"
    file.write_text(
        "name: one_cycle\n"
        "task: {name: seq_mem, pattern_length: 2, trials: 60, batch: 16}\n"
        "connectome: {path: one_cycle.csv}\n"
        "topology: {neurons_per_region: 1, intrinsic: false, keep_diagonal: true}\n"
        "arms: {real: {}, rewired: {null: {name: erdos_renyi, level: neuron}}}\n"
        "reference_arm: real\n"
        "tune: {learning_rate: {loguniform: [1.0e-3, 1.0e-1]}}\n"
    )
    return file


@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_what_a_worker_would_refuse_is_refused_before_one_is_started(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _one_cycle(tmp_path)
    assert tune_main(["--space", str(file), "--output", str(tmp_path / "results"), *more]) == 2
    error = capsys.readouterr().err
    assert "arm rewired: the recurrent matrix has no cycle" in error
    assert "topology.spectral_radius to as_it_comes" in error
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("untimed")
def test_a_dry_run_says_what_can_be_decided_and_how_files_were_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chain.csv").write_text("source,target,weight\nA,B,5\nB,C,4\nC,D,3\n")
    file = _one_cycle(tmp_path)
    small = [f"connectome.path={tmp_path / 'chain.csv'}", "topology.spectral_radius=as_it_comes"]
    options = ["--dry-run", *(part for override in small for part in ("--set", override))]
    for pairs, warned in (("3", True), ("16", False)):
        assert tune_main(["--space", str(file), *options, "--set", f"confirm.replicates={pairs}"]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert "NOTE: chain: no edge has a reverse edge" in printed
        assert f"{pairs} pairs show, with a power of 80 %" in printed
        assert ("can hardly decide anything" in printed) == warned
        # as many as two seconds are enough for
        assert re.search(rf"networks drawn to see that they can be: [1-9]\d* of {pairs} real", printed)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_what_completes_commands_in_a_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--print-completion", shell])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert "--checkpoint-every" in script
    assert "extend" in script


def test_bash_completes_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    script = tmp_path / "biotune.bash"
    script.write_text(capsys.readouterr().out)
    asked = f"source {script}; COMP_WORDS=(biotune ext); COMP_CWORD=1; _shtab_biotune; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["extend"], done.stderr
