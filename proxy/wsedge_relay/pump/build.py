"""Compiles pump.py and what it is made of with Cython and a C compiler: the compiled form of the pump.

    python -m wsedge_relay.pump.build [FOLDER]

Without FOLDER the extension modules go where the relay looks for them, in compiled/. Needs the package
`cython`, a C compiler (`CC`, or the one Python was built with) and Python's headers. `CFLAGS` come last, for
a build with a sanitizer or for a debugger.
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
# The .pxd files say the types; every index is bounded by the walk itself.
_DIRECTIVES: Final = (
    "annotation_typing=False",
    "boundscheck=False",
    "wraparound=False",
    "initializedcheck=False",
)


def digest() -> str:
    """Return a digest of the sources, by which a compiled form made from others is told."""
    texts = (PACKAGE / f"{name}{suffix}" for name in MODULES for suffix in (".py", ".pxd"))
    return hashlib.sha256(b"\0".join(text.read_bytes() for text in texts)).hexdigest()


def build(target: Path) -> list[Path]:
    """Compile into the folder `target`; return the files made. Raises CalledProcessError, OSError."""
    with tempfile.TemporaryDirectory(prefix="wsedge-compile-") as folder:
        made = [_compile(_copy(Path(folder)), name) for name in MODULES]
        target.mkdir(parents=True, exist_ok=True)
        results = [_put(module, target) for module in made]
    stamp = target / STAMP
    stamp.write_text(digest())
    return [*results, stamp]


def _copy(folder: Path) -> Path:
    """Copy the sources to where their module names, which the compiled form has, say that they are."""
    package = folder / "wsedge_relay" / "pump" / "compiled"
    package.mkdir(parents=True, exist_ok=True)
    for empty in (package.parent.parent, package.parent, package):
        (empty / "__init__.py").touch()
    for name in MODULES:
        for suffix in (".py", ".pxd"):
            shutil.copy(PACKAGE / f"{name}{suffix}", package)
    return package


def _put(module: Path, target: Path) -> Path:
    # Renamed into place: a process that has the old file mapped would crash if it were overwritten.
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
    """Compile and name what was made."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGE / "compiled"
    for file in build(target):
        print(file)  # noqa: T201  data goes to stdout


if __name__ == "__main__":
    main()
