"""The C++ library by itself, built by GCC, by Clang and, if a cross compiler and qemu are there, for arm64."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARM64 = "aarch64-linux-gnu-g++"
X86_FLAGS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
}


@pytest.mark.long
@pytest.mark.parametrize("compiler", ["g++", "clang++", ARM64])
def test_equals_plain_loops(compiler: str, tmp_path: Path) -> None:
    needed = {compiler} | ({"qemu-aarch64"} if compiler == ARM64 else set())
    if missing := {name for name in needed if shutil.which(name) is None}:
        pytest.skip(f"needs {', '.join(sorted(missing))}")
    x86 = compiler != ARM64 and platform.machine() == "x86_64"
    flags = {"library": [], "baseline": [], **(X86_FLAGS if x86 else {})}
    sanitized = ["-g", "-fsanitize=address,undefined"] if compiler != ARM64 else []
    objects = []
    for name, extra in flags.items():
        objects.append(str(tmp_path / f"{name}.o"))
        source = str(ROOT / "kernels" / "biotune_kernels" / "backends" / "cpu" / f"{name}.cpp")
        subprocess.run(
            [compiler, "-std=c++17", "-O2", "-Wno-psabi", *sanitized, *extra, "-c", source, "-o", objects[-1]],
            check=True,
        )
    program = str(tmp_path / "check")
    kind = ["-static"] if compiler == ARM64 else []
    check = str(Path(__file__).with_name("library_check.cpp"))
    subprocess.run(
        [compiler, "-std=c++17", "-O1", *sanitized, *kind, check, *objects, "-pthread", "-ldl", "-o", program],
        check=True,
    )
    emulator = ["qemu-aarch64"] if compiler == ARM64 else []
    done = subprocess.run([*emulator, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("float") == 20
