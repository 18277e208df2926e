"""Runs fuzz targets under atheris, each in its own process (see `make fuzz`).

An input that breaks a rule ends the run and is written to the checkout's folder .fuzz; the command
`python tests/fuzz/run.py TARGET FILE` runs it again. A run begins with the seeds and the grown corpus,
unpacked to .fuzz/TARGET.kept. New inputs that reach more code stay in .fuzz/TARGET, and the next run begins
with them too. `--grow` merges the inputs that add coverage into the corpus and packs it again.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DICTIONARY: Final = Path(__file__).parent / "http.dict"
FOUND: Final = ROOT / ".fuzz"
WITHIN: Final = "within"  # the process that becomes libFuzzer is the first that imports the relay's code
LONGEST: Final = 1024  # bytes of an input; longer ones find nothing new and run slower
# The sources suffice as a path: fuzzing needs no installed relay.
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "proxy", "statistics")]

from fuzz import kept  # noqa: E402 - found by the path above


def main() -> int:
    """Run the command line; return 0 unless an input broke a rule."""
    if sys.argv[1:2] == [WITHIN]:
        return fuzz(sys.argv[2], sys.argv[3:])
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", choices=[[], *TARGETS], default=[])
    parser.add_argument("file", nargs="?", type=Path, help="run this one input")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--grow", action="store_true", help="keep what reaches more code")
    known = parser.parse_args()
    for target in [known.target] if known.target else TARGETS:
        code = run(target, known.file, seconds=known.seconds)
        if code:
            return code
        if known.grow:
            grow(target)
    return 0


def run(target: str, file: Path | None, *, seconds: int) -> int:
    """Fuzz one target, or run one input of it; return the exit code."""
    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    inputs = [str(file)] if file is not None else [str(found), str(unpacked(target))]
    words = [f"-dict={DICTIONARY}"] if target in ("request", "answer", "plain", "body") else []
    return within(
        target,
        *words,
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={FOUND}/{target}-",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=0",
        *inputs,
    )


def grow(target: str) -> None:
    """Add inputs that reach more code to the stored corpus, and remove those that reach nothing new."""
    merged = FOUND / f"{target}.merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    within(target, "-merge=1", str(merged), str(unpacked(target)), str(FOUND / target))
    contents = [file.read_bytes() for file in merged.iterdir()]
    if contents:
        kept.pack(target, contents)


def unpacked(target: str) -> Path:
    """Return a folder with exactly the seeds and the grown corpus of a target."""
    folder = FOUND / f"{target}.kept"
    shutil.rmtree(folder, ignore_errors=True)
    kept.unpack(target, folder)
    return folder


def within(target: str, *arguments: str) -> int:
    """Run libFuzzer in its own process; return its exit code."""
    return subprocess.run([sys.executable, __file__, WITHIN, target, *arguments], check=False).returncode


def fuzz(target: str, arguments: list[str]) -> int:
    """Become libFuzzer, with coverage of the relay's code and every available form of the pump."""
    import atheris
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with atheris.instrument_imports(include=["wsedge_relay"]):
        from fuzz.targets import TARGETS
    if target in ("stream", "life"):
        add_compiled()
    # For a merge, libFuzzer starts its first argument again after each crash.
    itself = FOUND / f"{target}.sh"
    itself.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, WITHIN, target])} "$@"\n')
    itself.chmod(0o755)
    atheris.Setup([str(itself), *arguments], TARGETS[target])
    atheris.Fuzz()
    return 0


def add_compiled() -> None:
    """Drive the compiled form of the pump beside the plain one, whose coverage guides the fuzzer for both."""
    from fuzz.targets.pumping import FORMS
    from wsedge_relay.pump import compiled
    from wsedge_relay.pump.build import STAMP, build, digest
    from wsedge_relay.pump.selector import choose

    folder = FOUND / "compiled" / digest()[:16]
    if not (folder / STAMP).exists():
        build(folder)
    compiled.__path__.insert(0, str(folder))
    FORMS["compiled"] = choose("compiled").pump


if __name__ == "__main__":
    sys.exit(main())
