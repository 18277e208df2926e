"""Every kubectl command on every page has verbs and options of kubectl, and kinds that the cluster has."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from support.chart import CHART, Helm
from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.cluster import Cluster, quiet

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md"))
    if path.name != "CHANGELOG.md"
)
# Verbs whose next word is a verb, too.
NESTED = {"create", "set", "rollout", "config", "auth"}
ON_OBJECTS = {"get", "describe", "delete", "wait", "patch", "annotate", "label", "scale"}
# A page about an upgrade to a version that there is not yet.
LATER = {"websocketdomains.v1.wsedge.io", "billingplans.v1.wsedge.io"}
# Options whose value is the next word.
VALUED = {
    "-n",
    "-l",
    "-o",
    "-f",
    "-k",
    "--namespace",
    "--output",
    "--selector",
    "--filename",
    "--type",
    "--patch",
    "--timeout",
    "--audience",
    "--role",
    "--user",
    "--subresource",
    "--field-selector",
}
_OPTION = re.compile(r"(?<![\w-])(--?[a-zA-Z][\w-]*)")


def commands(page: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words of each command, without options, and its options, both up to `--`."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4,}|\$ )(\S.*)$", text, re.MULTILINE)
    for line in (*lines, *re.findall(r"(?<!`)`(kubectl [^`\n]+)`", text)):
        for found in re.finditer(r"(?:^|\$\(|\| |\()kubectl ([^|><)`]*)", re.split(r"\s+# ", line)[0]):
            try:
                words = shlex.split(found[1])
            except ValueError:  # cut within quotes, by one of the characters above
                words = found[1].split()
            words = words[: words.index("--")] if "--" in words else words
            plain: list[str] = []
            options: list[str] = []
            value_follows = False
            for word in words:
                if word.startswith("-") and word != "-":
                    options.append(word.partition("=")[0])
                    value_follows = "=" not in word and word in VALUED
                elif not value_follows:
                    plain.append(word)
                    value_follows = False
                else:
                    value_follows = False
            if plain and plain[0] not in ("wsedge", "─▶"):
                yield plain, options


@cache
def help_of(*verbs: str) -> tuple[str, frozenset[str]]:
    """Return the usage and the options of a verb; an empty usage if there is none of this name."""
    kubectl = ensure_binaries(quiet)["kubectl"]
    own = subprocess.run([kubectl, *verbs, "--help"], capture_output=True, text=True, timeout=60, check=False)
    common = subprocess.run([kubectl, "options"], capture_output=True, text=True, timeout=60, check=True)
    usage = own.stdout if own.returncode == 0 else ""
    return usage, frozenset(_OPTION.findall(own.stdout + common.stdout))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_verbs_and_options_are_those_of_kubectl(page: Path) -> None:
    """As its own help has them."""
    for plain, options in commands(page):
        verbs = plain[: 2 if plain[0] in NESTED and len(plain) > 1 else 1]
        verbs = plain[:3] if verbs == ["create", "secret"] and len(plain) > 2 else verbs
        usage, known = help_of(*verbs)
        assert usage, (page, plain)
        assert [option for option in options if option not in known] == [], (page, plain)


def test_kinds_are_those_of_a_cluster_with_the_chart(installed: Cluster) -> None:
    """By name, short name or category; what is in capitals, or dots, is the reader's."""
    listed = installed.kubectl("api-resources", "--output=wide").splitlines()[1:]
    known = {"wsedge"} | LATER
    for line in listed:
        cells = line.split()
        version = next(at for at, cell in enumerate(cells) if re.fullmatch(r"(\S+/)?v\d\w*", cell))
        name, group = cells[0], cells[version].rpartition("/")[0]
        known |= {name, cells[version + 2].lower(), *",".join(cells[1:version]).split(",")}
        known |= {f"{name}.{group}"} if group else set()
    named = {
        (kind.partition("/")[0], page.name)
        for page in PAGES
        for plain, options in commands(page)
        if plain[0] in ON_OBJECTS and len(plain) > 1 and not {"-f", "--filename", "--raw"} & set(options)
        for kind in plain[1].split(",")
    }
    assert len(named) > 30
    assert sorted((kind, page) for kind, page in named if kind not in known and kind.islower()) == []


@pytest.mark.parametrize(
    ("page", "key"),
    [("billing.md", "statistics"), ("security.md", "domainPolicy"), ("security.md", "exposurePolicy")],
)
def test_values_on_a_page_are_accepted_by_the_chart(page: str, key: str, helm: Helm, tmp_path: Path) -> None:
    """An indented block that begins with a value; the schema of the chart refuses what is malformed."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (block,) = re.findall(rf"^    {key}:\n(?:     +\S.*\n)+", text, re.MULTILINE)
    values = tmp_path / "values.yaml"
    values.write_text(re.sub(r"(?m)^    ", "", block))
    assert set(yaml.safe_load(values.read_text())) == {key}
    helm("template", "wsedge", CHART, "--kube-version=1.34.0", f"--values={values}")
