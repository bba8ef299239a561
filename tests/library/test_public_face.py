"""What `import biotune` gives, and how it is documented."""

import builtins
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import biotune as bt
from biotune.library import network, results, study, training, wiring

PUBLIC = [
    "Connectome",
    "Network",
    "Study",
    "StudyResults",
    "Topology",
    "Training",
    "UserError",
    "expand",
    "load_connectome",
    "load_network",
    "load_results",
    "make_task",
    "measure",
    "rewire",
    "train",
]


def test_is_these_names() -> None:
    assert bt.__all__ == PUBLIC
    assert sorted(dir(bt)) == sorted([*PUBLIC, "__version__"])
    assert all(getattr(bt, name) is not None for name in PUBLIC)


def test_hides_no_module_and_no_builtin() -> None:
    modules = {module.name for module in pkgutil.iter_modules(bt.__path__)}
    assert not modules & set(PUBLIC)
    assert not set(dir(builtins)) & set(PUBLIC)


def test_another_name_is_an_error_that_lists_those_that_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Experiment'; it has Connectome, .*train"):
        _ = bt.Experiment


@pytest.mark.parametrize("name", PUBLIC)
def test_is_documented_with_arguments_and_errors(name: str) -> None:
    found = getattr(bt, name)
    assert inspect.getdoc(found)
    if inspect.isfunction(found):
        doc = inspect.getdoc(found) or ""
        for parameter in inspect.signature(found).parameters:
            assert f"{parameter}:" in doc or f"{parameter}, " in doc or f"{parameter} " in doc, f"{name}: {parameter}"
        assert "Raises:" in doc
    elif name not in ("UserError",):
        for member, held in vars(found).items():
            if not member.startswith("_") and (callable(held) or isinstance(held, property)):
                assert inspect.getdoc(getattr(found, member)), f"{name}.{member}"


@pytest.mark.parametrize("module", ["biotune", network, results, study, training, wiring])
def test_examples_run(module: object) -> None:
    found = importlib.import_module(module) if isinstance(module, str) else module
    failed, _ = doctest.testmod(found, optionflags=doctest.ELLIPSIS)
    assert failed == 0


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import biotune; dir(biotune)", ["numpy", "pandas", "scipy", "torch", "ray", "optuna", "matplotlib"]),
        ("import biotune as bt; bt.load_connectome, bt.measure, bt.load_network", ["torch", "ray", "optuna"]),
        ("import biotune as bt; bt.Study.example('seq_mem'); bt.load_results; bt.train", ["ray", "optuna"]),
    ],
)
def test_nothing_is_imported_before_it_is_used(code: str, absent: list[str]) -> None:
    check = f"{code}; import sys; print(*[name for name in {absent} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
