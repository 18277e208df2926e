"""Name the older page of a pair of languages: `python -m wsedge_release.translations [--check | --accept]`.

A translation begins with a comment that has a digest of each section of both pages, in order, as they were
when somebody last compared the two:

    <!-- translated from docs/quickstart.md
    source: 0a1b2c3d 4e5f6071
    here: 99aa88bb 7766cc55
    -->

A section is a heading of the second level with its text; the first is what precedes them. The check names
each section whose text changed since, and which of the two pages is therefore older. White space is
no change. The code of blocks is no part of a digest, because a new version of the project changes it: it is
compared with that of the other page, and is the same in both languages. Remarks behind `#` are text.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

PAIRS: Final[Mapping[str, str]] = {
    "README.zh-CN.md": "README.md",
    "docs/zh-CN/quickstart.md": "docs/quickstart.md",
    "docs/zh-CN/activation.md": "docs/activation.md",
}
_HEAD: Final = re.compile(
    r"<!-- translated from (\S+)\nsource:((?: [0-9a-f]{8})+)\nhere:((?: [0-9a-f]{8})+)\n-->\n"
)
_HEADING: Final = re.compile(r"^(#+) ", re.MULTILINE)
_SECTION: Final = re.compile(r"^(?=## )", re.MULTILINE)
# A block stands between fences, or is indented by four spaces after an empty line. Fences are first: what is
# between them may be indented, and may begin with the hash signs of a heading.
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"(?<=\n\n)(?: {4,}[^\n]*\n+)+")
_REMARK: Final = re.compile(r"\s+# .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page."""

    title: str
    levels: tuple[int, ...]
    blocks: tuple[str, ...]
    digest: str


def sections(page: str) -> list[Section]:
    """Return the parts of a page; what precedes the first heading of the second level is the first."""
    blocks: list[str] = []

    def mark(found: re.Match[str]) -> str:
        blocks.append(found[0])
        return f"\0{len(blocks) - 1}\0\n"

    marked = _INDENTED.sub(mark, _FENCED.sub(mark, _HEAD.sub("", page, count=1)))
    return [_section(part, blocks) for part in _SECTION.split(marked)]


def _section(part: str, blocks: Sequence[str]) -> Section:
    """Return the section of a text in which a number between NUL characters stands for a block."""
    text = re.sub(r"\0(\d+)\0", lambda found: "".join(_REMARK.findall(blocks[int(found[1])])), part).strip()
    return Section(
        title=text.partition("\n")[0].lstrip("# "),
        levels=tuple(len(level) for level in _HEADING.findall(text)),
        blocks=tuple(
            _REMARK.sub("", blocks[int(number)]).strip() for number in re.findall(r"\0(\d+)\0", part)
        ),
        digest=hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8],
    )


def head(source: str, page: str, translation: str) -> str:
    """Return the comment of `translation`, which was made from `page`, whose path is `source`."""
    of_page, own = (" ".join(section.digest for section in sections(text)) for text in (page, translation))
    return f"<!-- translated from {source}\nsource: {of_page}\nhere: {own}\n-->\n"


def unlike(source: str, page: str, translation: str) -> Iterator[str]:
    """Yield a sentence for each difference that needs no reader: sections, headings, blocks of code."""
    theirs, ours = sections(page), sections(translation)
    if len(theirs) != len(ours):
        yield f"it has {len(ours)} sections, {source} has {len(theirs)}"
        return
    for their, our in zip(theirs, ours, strict=True):
        if their.levels != our.levels:
            yield f"section “{our.title}” has other headings than “{their.title}” of {source}"
        for wanted, given in zip_longest(their.blocks, our.blocks, fillvalue=""):
            if wanted != given:
                line = _first_difference(wanted, given)
                yield f"section “{our.title}” has another block of code than {source}: {line}"


def _first_difference(wanted: str, given: str) -> str:
    lines = zip_longest(wanted.splitlines(), given.splitlines(), fillvalue="")
    wanted, given = next((pair for pair in lines if pair[0] != pair[1]), ("", ""))
    return f"“{given.strip()}”, not “{wanted.strip()}”"


def changes(source: str, page: str, translation: str) -> Iterator[str]:
    """Yield a sentence for each section that changed since the two pages were last compared."""
    found = _HEAD.match(translation)
    if not found or found[1] != source:
        yield f"it does not begin with <!-- translated from {source} …, so nobody has compared it"
        return
    theirs, ours = sections(page), sections(translation)
    now = [[section.digest for section in each] for each in (theirs, ours)]
    then = [found[2].split(), found[3].split()]
    if len(theirs) != len(ours) or [len(each) for each in now] != [len(each) for each in then]:
        # Positions say nothing now: what is new is what no digest of then describes.
        for path, each, old in ((source, theirs, then[0]), ("it", ours, then[1])):
            if len(each) != len(old):
                yield f"{path} has {len(each)} sections now, and had {len(old)}"
            yield from (f"section “{part.title}” of {path} is new" for part in each if part.digest not in old)
        return
    for their, our, old_theirs, old_ours in zip(theirs, ours, *then, strict=True):
        match their.digest != old_theirs, our.digest != old_ours:
            case True, False:
                yield f"the translation is older: “{their.title}” of {source} has changed"
            case False, True:
                yield f"the translation is newer: “{our.title}” has changed, {source} has not"
            case True, True:
                yield f"both have changed: “{their.title}” of {source}, and “{our.title}”"
            case _:
                pass


def main(arguments: Sequence[str] | None = None, root: Path = Path()) -> int:
    """Check all pairs, or note that they were compared; return the exit code."""
    parser = argparse.ArgumentParser(description="Names the older page of a pair of languages.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--check", action="store_true", help="exit 1 when the pages of a pair differ (default)"
    )
    choice.add_argument(
        "--accept", action="store_true", help="print what changed, and note that the two pages say the same"
    )
    accept = parser.parse_args(arguments).accept
    failed = [path for path, source in PAIRS.items() if not _settle(root, path, source, accept)]
    if failed and not accept:
        sys.stderr.write("Let both say the same, then run it again with --accept instead of --check.\n")
    return 1 if failed else 0


def _settle(root: Path, path: str, source: str, accept: bool) -> bool:
    """Print what is wrong with a pair; return whether all is well, or was accepted."""
    missing = [each for each in (path, source) if not (root / each).is_file()]
    if missing:
        sys.stderr.write(f"{path}: {' and '.join(missing)} does not exist\n")
        return False
    page, translation = ((root / each).read_text(encoding="utf-8") for each in (source, path))
    wrong, changed = list(unlike(source, page, translation)), list(changes(source, page, translation))
    for sentence in (*wrong, *changed):
        sys.stderr.write(f"{path}: {sentence}\n")
    if wrong or (changed and not accept):
        if accept:
            sys.stderr.write(f"{path}: not accepted\n")
        return False
    if changed:
        text = head(source, page, translation) + _HEAD.sub("", translation, count=1)
        (root / path).write_text(text, encoding="utf-8")
        sys.stderr.write(f"{path}: accepted\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
