"""`kubectl wsedge logs`: the log lines of a domain's relays, filtered, as one line of text each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from wsedge_operator.cli.exit_codes import DONE
from wsedge_operator.cli.gateway import Gateway
from wsedge_operator.cli.json_text import parse
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.cli.objects import key_of, namespace_path, read_domain, read_labelled
from wsedge_operator.cli.rendering import TABLE, printable
from wsedge_operator.cli.rights import LOG
from wsedge_operator.errors import KubectlError

LEVELS: Final = ("debug", "info", "warning", "error")
_FIRST: Final = ("timestamp", "level", "event")
_LONGEST_LINE: Final = 4000
_MOST_MESSAGES: Final = 4000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines pass: of a level or above, and with these texts. An empty field lets all pass."""

    level: str = ""
    event: str = ""
    client: str = ""
    connection: str = ""
    text: str = ""

    def passes(self, line: str, fields: Mapping[str, Any] | None) -> bool:
        """Return whether a line passes; `fields` are those of a structured line, None of another text."""
        if self.text and self.text not in line:
            return False
        if fields is None:
            return not (self.level or self.event or self.client or self.connection)
        level = str(fields.get("level") or "info")
        return (
            (not self.level or (level in LEVELS and LEVELS.index(level) >= LEVELS.index(self.level)))
            and (not self.event or self.event in str(fields.get("event")))
            and (not self.client or str(fields.get("client") or "").startswith(self.client))
            and (not self.connection or self.connection == str(fields.get("connection")))
        )


def run(
    gateway: Gateway, kubectl: Kubectl, name: str, form: str, wanted: Filter, options: tuple[str, ...]
) -> int:
    """Print lines as they come, and return the exit code; raises PluginError and KubectlError.

    `options` are those of `kubectl logs`, such as --follow.
    """
    live = read_domain(gateway, name)
    pods = [str(pod["metadata"]["name"]) for pod in read_labelled(gateway, name).get(key_of(live), ())]
    for pod in pods[:1]:  # kubectl says that a right is missing, but not which Role gives it
        gateway.call("GET", f"{namespace_path(gateway.namespace)}/pods/{pod}/log?tailLines=1", LOG)
    selector = f"--selector=app.kubernetes.io/name=wsedge-relay,wsedge.io/domain-name={name}"
    most = f"--max-log-requests={max(5, len(pods))}"
    namespace = f"--namespace={gateway.namespace}"
    command = [kubectl.program, *kubectl.options, "logs", namespace, selector, "--prefix", most, *options]
    with tempfile.TemporaryFile("w+", errors="replace") as messages:  # a full pipe would stop kubectl
        code, printed = _print(command, messages, wanted, form)
        messages.seek(0)
        problem = messages.read(_MOST_MESSAGES).strip()
    if code:
        raise KubectlError(printable(problem or "kubectl logs failed"))
    if not pods:
        sys.stderr.write(f"kubectl-wsedge: The domain {printable(name)} has no relays.\n")
    elif not printed:
        sys.stderr.write(f"kubectl-wsedge: No line of {len(pods)} relays matches.\n")
    return DONE


def _print(command: list[str], messages: IO[str], wanted: Filter, form: str) -> tuple[int, int]:
    """Run kubectl, print the lines that pass, and return its exit code and their number.

    `messages` gets its errors.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=messages,
        text=True,
        errors="replace",
    )
    try:
        assert process.stdout is not None  # noqa: S101  a pipe
        printed = 0
        for line in shown(process.stdout, wanted, form):
            sys.stdout.write(line)
            sys.stdout.flush()
            printed += 1
        return process.wait(), printed
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate()


def shown(lines: Iterable[str], wanted: Filter, form: str) -> Iterator[str]:
    """Yield the lines that pass: as text with the relay in front, or as JSON with the field `relay`."""
    for line in lines:
        source, _, rest = line.rstrip("\n").partition("] ")
        relay = source.removeprefix("[pod/").partition("/")[0]
        fields = _fields(rest)
        if not wanted.passes(rest, fields):
            continue
        if form != TABLE:
            told = {"text": rest} if fields is None else fields
            # its own field `relay`, if it has one, would name another pod
            yield json.dumps({"relay": relay} | told | {"relay": relay}) + "\n"
        elif fields is None:
            yield f"{printable(relay)}  {printable(rest, _LONGEST_LINE)}\n"
        else:
            yield f"{printable(relay)}  {printable(_text(fields), _LONGEST_LINE)}\n"


def _fields(text: str) -> dict[str, Any] | None:
    try:
        found = parse(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _text(fields: Mapping[str, Any]) -> str:
    first = "  ".join(str(fields[name]) for name in _FIRST if name in fields)
    rest = (f"{name}={json.dumps(value)}" for name, value in fields.items() if name not in _FIRST)
    return "  ".join([first, *rest])
