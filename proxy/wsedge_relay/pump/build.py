"""Compile pump.py and its neighbours with Cython and a C compiler: the compiled form of the pump.

    python -m wsedge_relay.pump.build [FOLDER]

Without FOLDER the extension modules are written to compiled/, from which the relay loads them. The build
needs the package `cython`, a C compiler (`CC`, or the one that built Python) and Python's headers. `CFLAGS`
come last on the command line, for a sanitizer or a debugger.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent
MODULES: Final = ("frames", "leg", "sending", "pump")
STAMP: Final = "sources.sha256"
_FLAGS: Final = ("-shared", "-fPIC", "-O2", "-DNDEBUG", "-fno-strict-aliasing", "-fwrapv")
# No checks of indexes: the parser bounds every index itself. Types come from the .pxd files, not from hints.
_DIRECTIVES: Final = (
    "annotation_typing=False",
    "boundscheck=False",
    "wraparound=False",
    "initializedcheck=False",
)


def digest() -> str:
    """Return a digest of the sources, by which a form that was compiled from other sources is detected."""
    texts = (PACKAGE / f"{name}{suffix}" for name in MODULES for suffix in (".py", ".pxd"))
    return hashlib.sha256(b"\0".join(text.read_bytes() for text in texts)).hexdigest()


def build(target: Path) -> list[Path]:
    """Compile into the folder `target`; return the written files. Raises CalledProcessError, OSError."""
    with tempfile.TemporaryDirectory(prefix="wsedge-compile-") as folder:
        made = [_compile(_copy(Path(folder)), name) for name in MODULES]
        target.mkdir(parents=True, exist_ok=True)
        results = [_put(module, target) for module in made]
    stamp = target / STAMP
    stamp.write_text(digest())
    return [*results, stamp]


def _copy(folder: Path) -> Path:
    """Copy the sources to a folder that matches the module names of the compiled form."""
    package = folder / "wsedge_relay" / "pump" / "compiled"
    package.mkdir(parents=True, exist_ok=True)
    for empty in (package.parent.parent, package.parent, package):
        (empty / "__init__.py").touch()
    for name in MODULES:
        for suffix in (".py", ".pxd"):
            shutil.copy(PACKAGE / f"{name}{suffix}", package)
    return package


def _put(module: Path, target: Path) -> Path:
    # Renamed, not overwritten: a process that has the old file mapped would crash.
    beside = Path(shutil.copy(module, target / f"{module.name}.{os.getpid()}"))
    return beside.replace(target / module.name)


def _compile(package: Path, name: str) -> Path:
    source = package / f"{name}.py"
    options = [word for directive in _DIRECTIVES for word in ("-X", directive)]
    translate = [sys.executable, "-m", "cython", "-3", *options, str(source)]
    subprocess.run(translate, check=True, cwd=package.parent.parent.parent)
    module = package / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    command = [*shlex.split(compiler), *_FLAGS, f"-I{sysconfig.get_path('include')}"]
    command += shlex.split(os.environ.get("CFLAGS", ""))
    subprocess.run([*command, "-o", str(module), str(source.with_suffix(".c"))], check=True)
    return module


def main() -> None:
    """Compile, and print the paths of the written files."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE / "compiled"
    for file in build(target):
        print(file)  # noqa: T201  data goes to stdout


if __name__ == "__main__":
    main()
