"""Completion of `kubectl wsedge`: what may follow the words of a line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from wsedge_operator.cli.completion import SCRIPTS, candidates

asked: list[Sequence[str]] = []


def domains(options: Sequence[str]) -> list[str]:
    asked.append(list(options))
    return ["chat", "live"]


LINES: Final[dict[str, tuple[list[str], list[str], int]]] = {
    "the start of a verb": (["st"], ["statement", "status"], 4),
    "an unknown verb": (["x"], [], 4),
    "a domain": (["status", ""], ["chat", "live"], 4),
    "the start of a domain": (["logs", "l"], ["live"], 4),
    "nothing after the domain": (["status", "chat", ""], [], 4),
    "an option": (["connections", "--s"], ["--sort"], 4),
    "a value of an option": (["connections", "--sort", ""], ["bytes", "rtt", "since"], 4),
    "another one": (["status", "-o", "j"], ["json"], 4),
    "a value that nobody knows": (["drain", "--seconds", ""], [], 4),
    "an option without a value": (["drain", "--all-relays", ""], ["chat", "live"], 4),
    "a file": (["explain", "-f", ""], [], 0),
    "a verb without arguments": (["explain", ""], [], 4),
    "a verb below a verb": (["accesskey", "r"], ["revoke"], 4),
    "a shell": (["completion", "z"], ["zsh"], 4),
}


@pytest.mark.parametrize(("words", "found", "directive"), LINES.values(), ids=LINES)
def test_candidates(words: list[str], found: list[str], directive: int) -> None:
    """Verbs, options, their values, and the names of domains."""
    assert candidates(words, domains) == (found, directive)


def test_names_are_those_of_the_namespace_on_the_line() -> None:
    """And of its context."""
    asked.clear()
    candidates(["status", "-n", "team-a", "--context", "far", ""], domains)
    assert asked == [["--namespace=team-a", "--context=far"]]


def test_no_cluster_is_asked_for_what_needs_none() -> None:
    """A key in a shell must not wait for a network."""
    asked.clear()
    candidates(["st"], domains)
    candidates(["status", "--"], domains)
    assert asked == []


def test_the_script_of_bash_completes(tmp_path: Path) -> None:
    """With the program as kubectl calls it."""
    program = tmp_path / "kubectl_complete-wsedge"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wsedge_operator.cli.completion "$@"\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    typed = "COMP_WORDS=(kubectl-wsedge st); COMP_CWORD=1; _kubectl_wsedge; echo ${COMPREPLY[@]}"
    line = f"{SCRIPTS['bash']}\n{typed}"
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("statement status\n", "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_script_is_of_its_shell(shell: str, tmp_path: Path) -> None:
    """Its own parser reads it; skipped where the shell is not installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(SCRIPTS[shell])
    subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)
