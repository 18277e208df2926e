"""The table of `make test`: which part of each package's lines and branches the tests have run.

Reads the counts of all processes of a test run. Ends with 1 when a module that `.importlinter` lists as pure
has a line or a branch that no test runs, or when the whole is below its bound: nothing hinders the test of
pure code, and a shell that no test enters is not known to work.
"""

from __future__ import annotations

import configparser
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import coverage

ROOT: Final = Path(__file__).resolve().parent.parent
WHOLE_PERCENT: Final = 90.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How many lines and branches there are, and how many have run."""

    all: int = 0
    run: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.all + other.all, self.run + other.run)

    @property
    def percent(self) -> float:
        """Return the part that has run; of nothing, all has."""
        return 100.0 * self.run / self.all if self.all else 100.0


@dataclass(frozen=True, slots=True)
class Module:
    """One module by its dotted name; `missing` are lines that did not run, or not in each direction."""

    name: str
    counts: Counts
    missing: tuple[int, ...]

    @property
    def package(self) -> str:
        """Return program and package; modules beside the packages count as the program's own."""
        program, _, rest = self.name.partition(".")
        return f"{program}.{rest.split('.')[0]}" if "." in rest else program


def module_name(path: str) -> str:
    """Return `wsedge_relay.policy.limits` for `proxy/wsedge_relay/policy/limits.py`."""
    parts = Path(path).with_suffix("").parts
    start = next(index for index, part in enumerate(parts) if part.startswith("wsedge_"))
    return ".".join(part for part in parts[start:] if part != "__init__")


def modules_of(report: Mapping[str, Any]) -> list[Module]:
    """Return the modules of coverage's JSON report."""
    found = []
    for path, entry in report["files"].items():
        summary = entry["summary"]
        counts = Counts(
            summary["num_statements"] + summary["num_branches"],
            summary["covered_lines"] + summary["covered_branches"],
        )
        missing = {*entry["missing_lines"], *(abs(start) for start, _ in entry["missing_branches"])}
        found.append(Module(module_name(path), counts, tuple(sorted(missing))))
    return found


def pure_packages(contracts: str) -> tuple[str, ...]:
    """Return the packages and modules that the contracts named `…-pure` of `.importlinter` list."""
    parser = configparser.ConfigParser()
    parser.read_string(contracts)
    names: list[str] = []
    for section in parser.sections():
        if section.endswith("-pure"):
            names += parser[section]["source_modules"].split()
    return tuple(names)


def is_pure(name: str, pure: Iterable[str]) -> bool:
    """Tell whether a module is one of these, or within one of these packages."""
    return any(name == each or name.startswith(f"{each}.") for each in pure)


def table(modules: Iterable[Module], pure: Iterable[str]) -> list[str]:
    """Return the lines of the table: by package all of it, and of it what is pure."""
    whole: dict[str, Counts] = defaultdict(Counts)
    pure_part: dict[str, Counts] = defaultdict(Counts)
    for module in modules:
        for row in (module.package, "all"):
            whole[row] += module.counts
            if is_pure(module.name, pure):
                pure_part[row] += module.counts
    lines = [f"{'package':34}{'lines and branches':>20}{'run':>8}{'pure':>8}"]
    for row in sorted(whole, key=lambda each: (each == "all", each)):
        part = f"{_shown(pure_part[row])}" if row in pure_part else "-"
        lines.append(f"{row:34}{whole[row].all:>20}{_shown(whole[row]):>8}{part:>8}")
    return lines


def line_ranges(numbers: Iterable[int]) -> str:
    """Return `3, 5-7` for 3, 5, 6, 7."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ", ".join("-".join(map(str, each)) for each in ranges)


def _shown(counts: Counts) -> str:
    """Return a percentage that is rounded down, so that only all of it reads 100."""
    return f"{int(counts.percent * 10) / 10:g} %"


def faults(modules: Iterable[Module], pure: Iterable[str]) -> list[str]:
    """Return a sentence for each pure module with lines that no test runs, and for a low whole."""
    modules = list(modules)
    found = [
        f"{module.name} is pure, and no test runs these of its lines: {line_ranges(module.missing)}"
        for module in modules
        if is_pure(module.name, pure) and module.counts.run < module.counts.all
    ]
    whole = sum((module.counts for module in modules), Counts())
    if whole.percent < WHOLE_PERCENT:
        found.append(f"The tests run {_shown(whole)} of the whole; {WHOLE_PERCENT:g} % are asked for")
    return found


def main() -> int:
    """Print the table of the last run; return the exit code."""
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        measured.json_report(outfile=str(path), include=[f"{ROOT}/*"])  # tests run copies, too
        modules = modules_of(json.loads(path.read_text()))
    pure = pure_packages((ROOT / ".importlinter").read_text())
    print("\n".join(table(modules, pure)))
    found = faults(modules, pure)
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
