"""Completion of `kubectl wsedge`: what may follow the words of a line."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from support.clients.tools import unavailable
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
    candidates(["status", "--namespace=team-a", "--context=far", ""], domains)
    assert asked == [["--namespace=team-a", "--context=far"]] * 2


def test_no_cluster_is_asked_for_what_needs_none() -> None:
    """A key in a shell must not wait for a network."""
    asked.clear()
    candidates(["st"], domains)
    candidates(["status", "--"], domains)
    assert asked == []


# How each shell starts, with a file that it reads first.
SHELLS: Final[dict[str, tuple[list[str], str]]] = {
    "bash": (["--noprofile", "--rcfile", "{file}", "-i"], "PS1='ready> '\n"),
    "zsh": (["-d", "-i"], "PS1='ready> '; autoload -Uz compinit; compinit -u -D\n"),
    "fish": (
        ["--no-config", "--init-command", "source {file}", "-i"],
        "function fish_prompt; printf 'ready> '; end\n",
    ),
}
# What is typed, with the key that completes it, and the command that then runs.
TYPED: Final = {
    "a verb": ("rep\t", "report"),
    "a value of an option": ("connections --sort r\t", "connections --sort rtt"),
    "a word that is the shell's name": ("completion fi\t", "completion fish"),
    "a file": ("explain -f mani\t", "explain -f manifests.yaml"),
}
SECONDS: Final = 60.0


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with the program that kubectl calls, and one that prints how it is called."""
    called = f'exec {sys.executable} -m wsedge_operator.cli.completion "$@"'
    for name, line in (("kubectl_complete-wsedge", called), ("kubectl-wsedge", 'echo "ran: $* (end)"')):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    (tmp_path / "manifests.yaml").touch()
    return tmp_path


@pytest.mark.parametrize(("typed", "run"), TYPED.values(), ids=TYPED)
@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_completes_what_is_typed(shell: str, typed: str, run: str, programs: Path) -> None:
    """On a terminal, by its script; without the shell the test is skipped, and fails in CI."""
    with terminal(shell, programs) as screen:
        assert "ready> " in until(screen, "ready> ")
        os.write(screen, f"kubectl-wsedge {typed}\r".encode())
        assert f"ran: {run} (end)" in until(screen, "(end)")


def test_the_script_of_zsh_completes_at_its_first_call(programs: Path) -> None:
    """As a file in a folder of fpath, which zsh reads when it first needs it."""
    (programs / "_kubectl-wsedge").write_text(SCRIPTS["zsh"])
    with terminal("zsh", programs, script="") as screen:
        until(screen, "ready> ")
        os.write(screen, b"kubectl-wsedge rep\t\r")
        assert "ran: report (end)" in until(screen, "(end)")


@contextmanager
def terminal(shell: str, folder: Path, script: str | None = None) -> Iterator[int]:
    """Run a shell with its script; yield the terminal that it reads from and writes to."""
    if shutil.which(shell) is None:
        unavailable(f"{shell} is not installed (as root: make test-tools)")
    arguments, first = SHELLS[shell]
    file = folder / ".zshrc"  # the name that zsh looks for in ZDOTDIR
    file.write_text(
        first.replace("compinit;", f"compinit; fpath=({folder} $fpath);")
        + (SCRIPTS[shell] if script is None else script)
    )
    screen, inner = pty.openpty()
    places = dict.fromkeys(("HOME", "ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    with subprocess.Popen(
        ["setsid", "--ctty", shell, *(part.format(file=file) for part in arguments)],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        cwd=folder,
        env={**os.environ, **places, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "xterm"},
    ) as process:
        os.close(inner)
        try:
            yield screen
        finally:
            process.kill()
            process.wait()
            os.close(screen)


def until(screen: int, text: str) -> str:
    """Return what a terminal shows, up to a text."""
    shown = ""
    end = time.monotonic() + SECONDS
    while text not in shown:
        left = end - time.monotonic()
        ready, _, _ = select.select([screen], [], [], max(0.0, left))
        assert ready, f"the shell has only shown {shown!r}"
        shown += os.read(screen, 4096).decode(errors="replace")
    return shown
