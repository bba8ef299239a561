"""One seed draws the same networks on every machine: processors, libraries and numbers of threads are made to differ.

`draws.json` holds the digests. If a change is meant to draw other networks, raise the schema of the results
(`biotune.results.SCHEMA`), and make the file anew:

    python tests/machines/draw_everything.py > tests/machines/draws.json
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy._core import _multiarray_umath as umath

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "biotune"
EXPECTED = json.loads((HERE / "draws.json").read_text())

DISPATCHED = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
"""Instructions that NumPy uses on this processor, and can be told to leave."""

MACHINES = {
    "as it is": {},
    "numpy without vectors": {"NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED)},
    "numpy without its widest vectors": {"NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED[len(DISPATCHED) // 2 :])},
    "another C library": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable"},
    "another BLAS": {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"},
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "one thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
}


def draw_on(machine: str, arrays: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    command = [sys.executable, HERE / "draw_everything.py", arrays]
    done = subprocess.run(command, env=os.environ | MACHINES[machine], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(arrays) as held:
        return json.loads(done.stdout), dict(held)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The scaled initial weights on this machine as it is."""
    digests, arrays = draw_on("as it is", tmp_path_factory.mktemp("here") / "weights.npz")
    assert digests == EXPECTED
    return arrays


@pytest.mark.parametrize("machine", list(MACHINES)[1:])
def test_other_processors_and_libraries_draw_the_same(
    machine: str, here: dict[str, np.ndarray], tmp_path: Path
) -> None:
    digests, arrays = draw_on(machine, tmp_path / "weights.npz")
    assert digests == EXPECTED
    for name, expected in here.items():
        if machine.startswith("numpy"):
            np.testing.assert_array_equal(arrays[name], expected)
        else:  # a spectral radius comes from BLAS and LAPACK
            np.testing.assert_allclose(arrays[name], expected, rtol=0, atol=1e-6)


def test_the_machines_differ() -> None:
    """Else the test above would show nothing."""
    code = (
        "import numpy as np; x = np.linspace(-20, 20, 10_001); print(hash(np.tanh(x).tobytes() + np.exp(x).tobytes()))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=environment | MACHINES[machine],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for machine in ("as it is", "numpy without vectors")
    }
    if DISPATCHED:
        assert len(printed) == 2


DRAWING = ("connectome", "topology", "tasks", "network", "training")


def unstable_sorts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls whose result depends on how a library orders equal numbers, or a partition: line, what stands there."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        stable = (isinstance(kind := given.get("kind"), ast.Constant) and kind.value == "stable") or (
            isinstance(flag := given.get("stable"), ast.Constant) and flag.value is True
        )
        of_strings = name == "partition" and ast.unparse(node.func) != "np.partition"
        if (name in ("argpartition", "partition", "topk") and not of_strings) or (name == "argsort" and not stable):
            yield node.lineno, ast.unparse(node)


def test_code_that_draws_leaves_no_tie_to_a_library() -> None:
    files = [file for folder in DRAWING for file in (PACKAGE / folder).rglob("*.py")]
    assert len(files) > 30
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {code}"
        for file in files
        for line, code in unstable_sorts(ast.parse(file.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    ["np.argsort(x)", "x.argsort(axis=1)", "np.argpartition(x, 3)", "argsort(x, kind='quicksort')", "torch.topk(x, 3)"],
)
def test_the_lint_sees(code: str) -> None:
    assert [line for line, _ in unstable_sorts(ast.parse(code))] == [1]


@pytest.mark.parametrize("code", ["np.argsort(x, kind='stable')", "x.argsort(stable=True)", "np.sort(x)"])
def test_the_lint_lets_pass(code: str) -> None:
    assert list(unstable_sorts(ast.parse(code))) == []
