"""No loop of a Triton kernel keeps a value that should change with each turn; `triton/tile.py` says how that happens.

Triton's interpreter behaves as Python does, so only the source and the compiled code can show the mistake.
"""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import biotune_kernels.backends.triton
import biotune_kernels.fused

KERNELS = {
    f"{file.stem}.{function.name}": function
    for package in (biotune_kernels.backends.triton, biotune_kernels.fused)
    for file in sorted(Path(package.__file__).parent.glob("*.py"))
    for function in ast.walk(ast.parse(file.read_text()))
    if isinstance(function, ast.FunctionDef) and any("jit" in ast.unparse(one) for one in function.decorator_list)
}


def assignments(loop: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Every (target, value) in a loop's body, in pairs if tuples are assigned; None for what is no plain value."""

    def pairs(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[ast.expr, ast.expr | None]]:
        if isinstance(value, ast.IfExp):
            yield from pairs(target, value.body)
            yield from pairs(target, value.orelse)
        elif isinstance(target, ast.Tuple | ast.List):
            whole = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            values = value.elts if whole else [None] * len(target.elts)
            for one, its in zip(target.elts, values, strict=True):
                yield from pairs(one, its)
        else:
            yield target, value

    for node in ast.walk(loop):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from pairs(target, value)
            case ast.AnnAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                yield from pairs(target, value)
            case ast.AugAssign(target=target):
                yield target, None


def frozen_copies(function: ast.AST) -> set[str]:
    """The assignments `a = b`, in a loop that changes `b`, of a function."""
    found = set()
    for loop in ast.walk(function):
        if isinstance(loop, ast.For | ast.While):
            given = [(target.id, value) for target, value in assignments(loop) if isinstance(target, ast.Name)]
            changed = {name for name, _ in given}
            found |= {
                f"{name} = {value.id}" for name, value in given if isinstance(value, ast.Name) and value.id in changed
            }
    return found


@pytest.mark.parametrize(
    ("body", "copies"),
    [
        ("before = at\n    at += 1", {"before = at"}),
        ("before: tl.tensor = at\n    at = at + 1", {"before = at"}),
        ("before, at = at, at + 1", {"before = at"}),
        ("before = other = at\n    at += 1", {"before = at", "other = at"}),
        ("before = at if FLAG else 0\n    at += 1", {"before = at"}),
        ("use(before := at)\n    at += 1", {"before = at"}),
        ("if step > 0:\n        before = at\n    at += 1", {"before = at"}),
        ("for k in range(3):\n        before = at\n    at += 1", {"before = at"}),
        ("at += 1\n    while at < 3:\n        before = at", {"before = at"}),
        ("(before, deep), at = (at, 1), at + 1", {"before = at"}),
        ("before = fixed\n    at += 1", set()),
        ("before = at + 0\n    at += 1", set()),
        ("before = step", set()),
        ("before = at - 1\n    at, fixed = load(at)", set()),
    ],
)
def test_the_rule_finds_what_it_should(body: str, copies: set[str]) -> None:
    kernel = f"def kernel(at, fixed):\n  before = at\n  for step in range(9):\n    {body}\n  last = at"
    assert frozen_copies(ast.parse(textwrap.dedent(kernel))) == copies


def test_no_loop_gives_a_name_the_plain_value_of_another_that_it_changes() -> None:
    assert {
        "tile._forward",
        "tile._backward",
        "tile._times",
        "rows._gather",
        "nonlinearity.through",
        "sums._sums",
        "optimizers._step",
    } <= set(KERNELS)
    assert {name: copies for name, function in KERNELS.items() if (copies := frozen_copies(function))} == {}


def operands_that_move(ttir: str) -> list[bool]:
    """For each product in a kernel's outer loop: whether that loop carries its second operand, or the address of it."""
    moves: dict[str, bool] = {}
    products = []
    for line in ttir.splitlines():
        name, found, operation = (part.strip() for part in line.partition(" = "))
        if not (found and name.startswith("%")):
            continue
        operands = re.findall(r"%[\w#]+", operation)
        if operation.startswith("scf.for"):
            outer = line.startswith("    %")  # the body of the function
            moves[operation.split()[1]] = outer  # the number of the turn
            carried = re.findall(r"(%\w+) = (%[\w#]+)", operation.partition("iter_args")[2])
            moves |= {argument: outer or moves.get(start, False) for argument, start in carried}
            continue
        if operation.startswith("tt.dot"):
            products.append(moves.get(operands[1], False))
        elif operation.startswith("tt.load"):
            operands = operands[:1]  # the address, not the mask
        elif operation.startswith("arith.select"):
            operands = operands[1:]
        for one in name.split(", "):
            moves[one] = any(moves.get(operand, False) for operand in operands)
    return products


@pytest.mark.parametrize("nonlinearity", ["tanh", "each"])
@pytest.mark.parametrize("resident", [16, 32], ids=["streamed", "resident"])
@pytest.mark.parametrize(("kernel", "started"), [("_forward", False), ("_forward", True), ("_backward", False)])
def test_every_step_reads_the_state_of_the_step_before(
    kernel: str, started: bool, resident: int, nonlinearity: str, compiled: Callable[..., Any]
) -> None:
    import triton.language as tl

    from biotune_kernels.backends.triton import tile

    constants = {
        "STARTED": started,
        "OFFSET": tl.int32,
        "NONLINEARITY": nonlinearity,
        "PRODUCTS": 3,
        "PRECISION": "tf32x3",
        "RESIDENT": resident,
        "INPUTS": 0,
        "BLOCK_N": 32,
        "BLOCK_B": 16,
        "BLOCK_I": 16,
        "BLOCK_K": 16,
    }
    ttir = compiled(getattr(tile, kernel), constants, capability=90).asm["ttir"]
    products = (3 if resident == 32 else 6) + (kernel == "_forward")
    assert operands_that_move(ttir) == [True] * products, ttir
