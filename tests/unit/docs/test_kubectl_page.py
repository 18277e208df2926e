"""docs/kubectl.md: its verbs and exit codes are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from wsedge_operator.cli import exit_codes
from wsedge_operator.cli.arguments import parser

PAGE = Path(__file__).parents[3] / "docs" / "kubectl.md"


def test_each_verb_is_on_the_page_with_its_options() -> None:
    """Every long option of a verb occurs, except for those of kubectl and help."""
    text = PAGE.read_text()
    group = parser()._subparsers
    assert group is not None
    for verb, of_verb in dict(group._group_actions[0].choices or {}).items():
        assert re.search(rf"^\| .*`{verb}\b", text, re.MULTILINE), verb
        options = {option for action in of_verb._actions for option in action.option_strings}
        for option in options - {
            "--help",
            "--context",
            "--kubeconfig",
            "--namespace",
            "--output",
            "--filename",
        }:
            assert not option.startswith("--") or option in text, (verb, option)


def test_each_exit_code_has_its_row() -> None:
    """And no other has."""
    rows = {int(code) for code in re.findall(r"^\| (\d) \|", PAGE.read_text(), re.MULTILINE)}
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert rows == codes == set(range(9))
