"""Completion: what may follow the words of a command line.

kubectl runs `kubectl_complete-wsedge WORD…` for `kubectl wsedge WORD…`, in each shell that it completes for.
The verb `completion` prints a script for `kubectl-wsedge` typed by itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from wsedge_operator.cli.arguments import parser
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.errors import KubectlError

SCRIPTS: Final = {
    "bash": """\
_kubectl_wsedge() {
  local -a answer
  mapfile -t answer < <(kubectl_complete-wsedge "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ "${answer[*]: -1}" == :0 ]] || compopt +o default 2>/dev/null
  mapfile -t COMPREPLY < <(printf '%s\\n' "${answer[@]}" | grep -v '^:')
}
complete -o default -F _kubectl_wsedge kubectl-wsedge
""",
    # Sourced, or a file `_kubectl-wsedge` in a folder of fpath, whose first call must complete as well.
    "zsh": """\
#compdef kubectl-wsedge
_kubectl-wsedge() {
  local -a answer found
  answer=(${(f)"$(kubectl_complete-wsedge "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
  found=(${answer:#:*})
  if (( $#found )); then
    compadd -a found
  elif [[ $answer[-1] == :0 ]]; then
    _files
  fi
}
if [[ $funcstack[1] == _kubectl-wsedge ]]; then
  _kubectl-wsedge
else
  compdef _kubectl-wsedge kubectl-wsedge
fi
""",
    "fish": """\
function __kubectl_wsedge_complete
  set --local answer (kubectl_complete-wsedge (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)
  if test "$answer[-1]" = :0
    __fish_complete_path (commandline -ct)
  else
    string match --invert ':*' -- $answer
  end
end
complete -c kubectl-wsedge -f -a '(__kubectl_wsedge_complete)'
""",
}
_NAMES: Final = 4  # cobra's ShellCompDirectiveNoFileComp: no names of files
_FILES: Final = 0
_OF_CLUSTER: Final = ("NAME",)


def main(words: Sequence[str] | None = None) -> None:
    """Print the words that may follow, and a last line with cobra's directive, as kubectl expects it."""
    given = list(sys.argv[1:] if words is None else words) or [""]
    found, directive = candidates(given, _domains)
    sys.stdout.write("".join(f"{word}\n" for word in found) + f":{directive}\n")


def candidates(
    words: Sequence[str], domains: Callable[[Sequence[str]], Iterable[str]]
) -> tuple[list[str], int]:
    """Return what may stand for the last of `words`, and cobra's directive.

    `domains` returns the names of WebSocketDomains for the options that choose a cluster and a namespace.
    """
    *before, last = words
    current = parser()
    expected: argparse.Action | None = None
    place: list[str] = []
    taken = 0
    for word in before:
        if expected is not None:
            place += _place(expected, word)
            expected = None
        elif word.startswith("-"):
            option, _, value = word.partition("=")
            expected = _valued(current, option)
            if expected is not None and value:
                place += _place(expected, value)
                expected = None
        else:
            below = _verbs(current).get(word)
            current, taken = (below, 0) if below is not None else (current, taken + 1)
    found, directive = _following(current, expected, last, taken, lambda: domains(place))
    return sorted({word for word in found if word.startswith(last)}), directive


def _place(option: argparse.Action, value: str) -> list[str]:
    """Return the option for kubectl, if it chooses a cluster or a namespace."""
    return [f"--{option.dest}={value}"] if option.dest in ("namespace", "context", "kubeconfig") else []


def _following(
    current: argparse.ArgumentParser,
    expected: argparse.Action | None,
    last: str,
    taken: int,
    domains: Callable[[], Iterable[str]],
) -> tuple[Iterable[str], int]:
    if expected is not None:
        return (expected.choices or ()), _FILES if expected.metavar == "FILE" else _NAMES
    if last.startswith("-"):
        return (
            option
            for action in current._actions
            for option in action.option_strings
            if option.startswith("--")
        ), _NAMES
    verbs = _verbs(current)
    if verbs:
        return verbs, _NAMES
    positional = [action for action in current._actions if not action.option_strings]
    if not positional:
        return (), _NAMES
    action = positional[min(taken, len(positional) - 1)]
    if action.choices:
        return action.choices, _NAMES
    return (domains() if action.metavar in _OF_CLUSTER and not taken else ()), _NAMES


def _verbs(current: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in current._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _valued(current: argparse.ArgumentParser, word: str) -> argparse.Action | None:
    """Return the action of an option that takes the next word as its value, None of another."""
    for action in current._actions:
        if word in action.option_strings and action.nargs != 0:
            return action
    return None


def _domains(options: Sequence[str]) -> Iterable[str]:
    try:
        found = Kubectl(tuple(options)).run(
            "get", "websocketdomains", "--output=name", "--request-timeout=3s"
        )
    except KubectlError:
        return ()  # completion has no place for an error
    return [line.partition("/")[2] for line in found.splitlines()]


if __name__ == "__main__":
    main()
