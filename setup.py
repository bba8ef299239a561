"""Builds the optional C++ library of the `cpu` backend, packs the example studies, and makes README.md fit elsewhere.

Everything else about the package is in pyproject.toml.

If no C++ compiler works, the package installs without the library and says so; other backends take its place.
"""

import platform
import re
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import BaseError, CCompilerError

FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wno-psabi"]
INSTRUCTIONS = {
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"],
    "avx2": ["-mavx2", "-mfma"],
    "baseline": [],
}
X86 = platform.machine().lower() in ("x86_64", "amd64")
FOLDER = "kernels/biotune_kernels/backends/cpu"
REPOSITORY = "https://github.com/biotune/biotune"


class BuildPackages(build_py):
    """Puts the studies of search_spaces/ into the package, so that an installed biotune has them too."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # an editable install reads them where they are
            return
        folder = Path(self.build_lib, "biotune", "search_spaces")
        self.mkpath(str(folder))
        for file in sorted(Path("search_spaces").glob("*.yaml")):
            self.copy_file(str(file), str(folder / file.name))


class BuildLibrary(build_ext):
    """Compiles each instruction set's file with its own flags, and links them into one library."""

    def run(self) -> None:
        try:
            super().run()
        except (CCompilerError, BaseError, OSError) as error:
            print(f"biotune: the C++ kernels were not built ({error}); slower ones are used instead", file=sys.stderr)

    def build_extension(self, ext: Extension) -> None:
        objects = [self._compile("library", [])]
        objects += [self._compile(name, flags) for name, flags in INSTRUCTIONS.items() if X86 or name == "baseline"]
        threads = [] if sys.platform == "darwin" else ["-pthread", "-ldl"]
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=threads, target_lang="c++"
        )

    def get_output_mapping(self) -> dict[str, str]:
        """Only what was built: an install without a compiler must not look for the library."""
        return {built: place for built, place in super().get_output_mapping().items() if Path(built).is_file()}

    def get_ext_filename(self, fullname: str) -> str:
        """Without the version of Python, see `TagWheel`."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def _compile(self, name: str, flags: list[str]) -> str:
        sources = [f"{FOLDER}/{name}.cpp"]
        depends = [f"{FOLDER}/{header}.h" for header in ("interface", "vector", "passes")]
        return self.compiler.compile(sources, self.build_temp, extra_postargs=FLAGS + flags, depends=depends)[0]


class TagWheel(bdist_wheel):
    """The library is loaded with ctypes, and not compiled against Python: a platform's wheel is for all versions."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


def readme() -> str:
    """README.md with links that lead somewhere from any page: the package's page has no files beside it."""

    def absolute(link: re.Match[str]) -> str:
        return f"{link['mark']}[{link['text']}]({REPOSITORY}/{'raw' if link['mark'] else 'blob'}/main/{link['path']})"

    relative = re.compile(r"(?P<mark>!?)\[(?P<text>[^]]*)\]\((?P<path>(?!https?:|#)[^)]*)\)")
    return relative.sub(absolute, Path("README.md").read_text(encoding="utf-8"))


setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    ext_modules=[Extension("biotune_kernels.backends.cpu._sparse_rnn", [f"{FOLDER}/library.cpp"], language="c++")],
    cmdclass={"build_py": BuildPackages, "build_ext": BuildLibrary, "bdist_wheel": TagWheel},
)
