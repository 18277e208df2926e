"""Which page of a pair of languages is older."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wsedge_release import translations, versions

ROOT = Path(__file__).parents[3]
PATH, SOURCE = "docs/zh-CN/page.md", "docs/page.md"
PAGE = """\
# A page

[中文](zh-CN/page.md)

## Begin

Run it:

    helm install wsedge:0.1.0     # at once

### And then

It runs.

## End

Stop it.
"""
TRANSLATION = """\
# 页面

[English](../page.md)

## 开始

运行

    helm install wsedge:0.1.0     # 立即

### 然后

它在运行。

## 结束

停止。
"""


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a page and its translation, which were compared."""
    monkeypatch.setattr(translations, "PAIRS", {PATH: SOURCE})
    write(tmp_path, SOURCE, PAGE)
    write(tmp_path, PATH, translations.head(SOURCE, PAGE, TRANSLATION) + TRANSLATION)
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    """Write a page."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def edit(root: Path, path: str, *edits: tuple[str, str]) -> None:
    """Replace texts of a page, each of which is there once."""
    text = (root / path).read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    write(root, path, text)


def test_the_translations_of_this_checkout_say_what_the_english_pages_say() -> None:
    """No page of a committed pair is older than the other."""
    assert translations.main(["--check"], ROOT) == 0


def test_every_translation_of_the_docs_is_checked() -> None:
    """A page in docs/zh-CN that no pair names would grow old unseen."""
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "zh-CN").rglob("*.md")}
    assert pages | {"README.zh-CN.md"} == set(translations.PAIRS)


UNCHANGED: dict[str, dict[str, list[tuple[str, str]]]] = {
    "nothing is edited": {},
    "lines are broken elsewhere": {SOURCE: [("Stop it.", "Stop\nit.\n")]},
    "a new version is written to the block of both": {
        SOURCE: [("wsedge:0.1.0", "wsedge:7.8.9")],
        PATH: [("wsedge:0.1.0", "wsedge:7.8.9")],
    },
}


@pytest.mark.parametrize("edits", UNCHANGED.values(), ids=UNCHANGED.keys())
def test_what_changes_no_meaning_asks_for_nothing(
    pair: Path, edits: dict[str, list[tuple[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    """White space, a version and a remark make no page older."""
    for path, replacements in edits.items():
        edit(pair, path, *replacements)
    assert translations.main(["--check"], pair) == 0
    assert capsys.readouterr().err == ""


CHANGED: dict[str, tuple[dict[str, list[tuple[str, str]]], list[str]]] = {
    "the English page is edited": (
        {SOURCE: [("Stop it.", "Stop it soon.")]},
        [f"the translation is older: “End” of {SOURCE} has changed"],
    ),
    "the text before the first section is edited": (
        {SOURCE: [("# A page", "# The page")]},
        [f"the translation is older: “The page” of {SOURCE} has changed"],
    ),
    "the translation is edited": (
        {PATH: [("停止。", "尽快停止。")]},
        [f"the translation is newer: “结束” has changed, {SOURCE} has not"],
    ),
    "a remark behind a command is edited": (
        {SOURCE: [("# at once", "# within seconds")]},
        [f"the translation is older: “Begin” of {SOURCE} has changed"],
    ),
    "each is edited, in another section": (
        {SOURCE: [("It runs.", "It runs well.")], PATH: [("停止。", "尽快停止。")]},
        [
            f"the translation is older: “Begin” of {SOURCE} has changed",
            f"the translation is newer: “结束” has changed, {SOURCE} has not",
        ],
    ),
    "both are edited in the same section": (
        {SOURCE: [("Stop it.", "Stop it soon.")], PATH: [("停止。", "尽快停止。")]},
        [f"both have changed: “End” of {SOURCE}, and “结束”"],
    ),
    "both have a new section": (
        {
            SOURCE: [("## End", "## Middle\n\nWait.\n\n## End")],
            PATH: [("## 结束", "## 中间\n\n等待。\n\n## 结束")],
        },
        [
            f"{SOURCE} has 4 sections now, and had 3",
            f"section “Middle” of {SOURCE} is new",
            "it has 4 sections now, and had 3",
            "section “中间” of it is new",
        ],
    ),
    "the comment is of another page": (
        {PATH: [("translated from docs/page.md", "translated from docs/other.md")]},
        [f"it does not begin with <!-- translated from {SOURCE} …, so nobody has compared it"],
    ),
}


@pytest.mark.parametrize(("edits", "told"), CHANGED.values(), ids=CHANGED.keys())
def test_a_change_is_told_until_it_is_accepted(
    pair: Path,
    edits: dict[str, list[tuple[str, str]]],
    told: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The check names the section and the older page; `--accept` prints the same, and ends it."""
    for path, replacements in edits.items():
        edit(pair, path, *replacements)
    sentences = "".join(f"{PATH}: {sentence}\n" for sentence in told)
    page = (pair / SOURCE).read_text(encoding="utf-8")
    assert translations.main(["--check"], pair) == 1
    assert capsys.readouterr().err.startswith(sentences + "Let both say the same")
    assert translations.main(["--accept"], pair) == 0
    assert capsys.readouterr().err == f"{sentences}{PATH}: accepted\n"
    assert translations.main([], pair) == 0
    assert (pair / SOURCE).read_text(encoding="utf-8") == page


UNLIKE: dict[str, tuple[dict[str, list[tuple[str, str]]], str]] = {
    "only one has a new section": (
        {SOURCE: [("## End", "## Middle\n\nWait.\n\n## End")]},
        f"it has 3 sections, {SOURCE} has 4",
    ),
    "a heading has another level": (
        {PATH: [("### 然后", "#### 然后")]},
        f"section “开始” has other headings than “Begin” of {SOURCE}",
    ),
    "a command is another": (
        {PATH: [("helm install", "helm upgrade")]},
        f"section “开始” has another block of code than {SOURCE}: "
        "“helm upgrade wsedge:0.1.0”, not “helm install wsedge:0.1.0”",
    ),
    "a version is written to one alone": (
        {SOURCE: [("wsedge:0.1.0", "wsedge:7.8.9")]},
        f"section “开始” has another block of code than {SOURCE}: "
        "“helm install wsedge:0.1.0”, not “helm install wsedge:7.8.9”",
    ),
    "a block is missing": (
        {PATH: [("    helm install wsedge:0.1.0     # 立即\n\n", "")]},
        f"section “开始” has another block of code than {SOURCE}: “”, not “helm install wsedge:0.1.0”",
    ),
    "a block stands in another section": (
        {
            PATH: [
                ("    helm install wsedge:0.1.0     # 立即\n\n", ""),
                ("停止。\n", "停止。\n\n    helm install wsedge:0.1.0\n"),
            ]
        },
        f"section “结束” has another block of code than {SOURCE}: “helm install wsedge:0.1.0”, not “”",
    ),
}


@pytest.mark.parametrize(("edits", "told"), UNLIKE.values(), ids=UNLIKE.keys())
def test_pages_of_another_structure_cannot_be_accepted(
    pair: Path, edits: dict[str, list[tuple[str, str]]], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sections, headings and code are the same in both languages; before, `--accept` writes nothing."""
    for path, replacements in edits.items():
        edit(pair, path, *replacements)
    before = (pair / PATH).read_bytes()
    assert translations.main(["--check"], pair) == 1
    assert f"{PATH}: {told}\n" in capsys.readouterr().err
    assert translations.main(["--accept"], pair) == 1
    answer = capsys.readouterr().err
    assert f"{PATH}: {told}\n" in answer
    assert answer.endswith(f"{PATH}: not accepted\n")
    assert (pair / PATH).read_bytes() == before


@pytest.mark.parametrize("missing", [PATH, SOURCE])
def test_a_missing_page_is_a_sentence(pair: Path, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither verb ends with a traceback."""
    (pair / missing).unlink()
    for verb in ("--check", "--accept"):
        assert translations.main([verb], pair) == 1
        assert capsys.readouterr().err.startswith(f"{PATH}: {missing} does not exist\n")


def test_nothing_is_written_when_nothing_changed(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--accept` of pages that were compared says and does nothing."""
    before = (pair / PATH).stat().st_mtime_ns
    assert translations.main(["--accept"], pair) == 0
    assert capsys.readouterr().err == ""
    assert (pair / PATH).stat().st_mtime_ns == before


def test_what_stands_between_fences_begins_no_section() -> None:
    """A remark of a shell script looks like a heading; a fenced block may have indented lines."""
    page = "# A\n\n## B\n\n```\n## no heading\n\n    indented   # remark\n```\n\ntext\n"
    first, second = translations.sections(page)
    assert (first.title, second.title) == ("A", "B")
    assert second.levels == (2,)
    assert second.blocks == ("```\n## no heading\n\n    indented\n```",)


def test_a_release_writes_its_version_to_both_languages(tmp_path: Path) -> None:
    """After the version was raised and written everywhere, no translation is older."""
    for path in {*translations.PAIRS, *translations.PAIRS.values()}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    for path in {*translations.PAIRS, *translations.PAIRS.values()} & set(versions.PLACES):
        text = (tmp_path / path).read_text(encoding="utf-8")
        write(tmp_path, path, versions.versioned(path, versions.PLACES[path], text, "7.8.9"))
    assert "7.8.9" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert translations.main(["--check"], tmp_path) == 0
