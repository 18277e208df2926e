"""Write generated files, or find stale ones: what all generators share.

A page of docs/ has text that people write, and tables, each between two markers of a line:

    <!-- START and a remark -->
    <!-- end -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_VERB: Final = "make generate"


def stale_files(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Return the paths of files that are missing below `root` or have other content."""
    return [
        path
        for path, content in files.items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != content
    ]


def write_files(root: Path, files: Mapping[Path, str], stale: Sequence[Path]) -> None:
    """Write the stale files below `root`."""
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")


def run(files: Mapping[Path, str], *, description: str, arguments: Sequence[str] | None) -> int:
    """Write `files`, or with `--check` compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository (default: here)")
    options = parser.parse_args(arguments)
    stale = stale_files(options.root, files)
    if not options.check:
        write_files(options.root, files, stale)
    elif stale:
        names = ", ".join(str(path) for path in stale)
        sys.stderr.write(f"stale: {names}; run `{_VERB}` and commit the result\n")
        return 1
    return 0


def run_page(
    path: Path, current: Callable[[str], str], *, arguments: Sequence[str] | None, page: Path
) -> int:
    """Write the tables of a page at `path`, or check them; return the exit code.

    `current` returns the text with current tables; `page` is the file to read.
    """
    files = {path: current(page.read_text(encoding="utf-8"))}
    return run(files, description=f"Writes the tables of {path}.", arguments=arguments)


def with_tables(path: Path, page: str, tables: Mapping[str, str]) -> str:
    """Return the text of the page at `path` with `tables`, each behind the marker that begins with its key.

    Raises ValueError unless the page has exactly one pair of markers for each.
    """
    starts = "|".join(re.escape(start) for start in tables)
    between = re.compile(rf"(<!-- ({starts})[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
    found = sorted(start for _, start, _ in between.findall(page))
    if found != sorted(tables):
        raise ValueError(f"{path}: one pair of markers is needed for each of {sorted(tables)}, found {found}")
    return between.sub(lambda place: place[1] + tables[place[2]] + place[3], page)
