"""`kubectl wsedge`: a plugin of kubectl, which finds the program `kubectl-wsedge` in PATH."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

from wsedge_operator.cli import access_keys, connections, drain, logs, report, rights, statement, status
from wsedge_operator.cli.arguments import parser
from wsedge_operator.cli.exit_codes import DONE, FAILED
from wsedge_operator.cli.gateway import Gateway, namespace_of
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.cli.rendering import printable
from wsedge_operator.errors import OperatorError, PluginError

_LONGEST_LINE: Final = 4000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb; when it fails, print one sentence on standard error and exit with its code."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    words = parser()
    given = words.parse_args(arguments)
    if getattr(given, "all_namespaces", False) and given.name is not None:
        words.error("status takes a NAME or --all-namespaces, not both")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack letters of a cluster's texts
    try:
        code = _run(given)
        sys.stdout.flush()
    except PluginError as error:
        _tell(error)
        if error.more:
            sys.stderr.write(f"\n{error.more}")
        sys.exit(error.code)
    except OperatorError as error:
        _tell(error)
        sys.exit(FAILED)
    except BrokenPipeError:  # such as `| head`
        # What is left in the buffer would fail once more at the end of the interpreter, which tells of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    if code:
        sys.exit(code)


def _end(number: int, _frame: object) -> None:
    """Exit in order, whatever signal comes next: `kubectl proxy` ends with this process."""
    for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _tell(error: OperatorError) -> None:
    """Print an error; kubectl's own have texts of the cluster."""
    lines = [printable(line, _LONGEST_LINE) for line in str(error).splitlines()]
    sys.stderr.write("kubectl-wsedge: " + "\n".join(lines) + "\n")


def _run(given: argparse.Namespace) -> int:
    """Run the verb and return the exit code; raises OperatorError."""
    if given.verb == "explain":
        from wsedge_operator.cli.explain import main as explain

        options = {"--namespace": given.namespace, "--at": given.at}
        chosen = [f"{name}={value}" for name, value in options.items() if value]
        return explain([*chosen, "--", *given.filename])
    if given.verb == "completion":
        from wsedge_operator.cli.completion import SCRIPTS

        sys.stdout.write(SCRIPTS[given.shell])
        return DONE
    kubectl = _kubectl(given)
    match given.verb:
        case "accesskey":
            return _access_key(kubectl, given)
        case "rbac":
            return _rbac(kubectl, given)
        case _:
            everywhere = getattr(given, "all_namespaces", False)
            namespace = "" if everywhere else namespace_of(kubectl, given.namespace)
            with Gateway(kubectl, verb=given.verb, namespace=namespace, domain=_domain(given)) as gateway:
                gateway.statistics = getattr(given, "statistics", gateway.statistics)
                return _through(gateway, given)


def _through(gateway: Gateway, given: argparse.Namespace) -> int:
    """Run a verb that asks the API server; raises OperatorError."""
    code = DONE
    match given.verb:
        case "status":
            text, code = status.run(gateway, given.name, given.output, window=given.window)
        case "connections":
            text, code = connections.run(
                gateway,
                given.name,
                given.output,
                client=given.client,
                order=given.sort,
                limit=given.limit,
            )
        case "close":
            text = connections.close(gateway, given.id)
        case "drain":
            text, code = drain.run(gateway, given.name, seconds=given.seconds, all_relays=given.all_relays)
        case "statement":
            text = statement.run(gateway, given.period, given.output, given.statistics)
        case "report":
            text = report.run(gateway, given.file, lines=given.lines, clients=given.clients)
        case _:
            return _logs(gateway, given)
    sys.stdout.write(text)
    return code


def _logs(gateway: Gateway, given: argparse.Namespace) -> int:
    wanted = logs.Filter(given.level, given.event, given.client, given.connection, given.grep)
    options = [f"--tail={given.tail}", *(["--follow"] if given.follow else [])]
    options += [f"--since={given.since}"] if given.since else []
    return logs.run(gateway, _kubectl(given), given.name, given.output, wanted, tuple(options))


def _kubectl(given: argparse.Namespace) -> Kubectl:
    chosen = {"namespace": given.namespace, "context": given.context, "kubeconfig": given.kubeconfig}
    return Kubectl(tuple(f"--{name}={value}" for name, value in chosen.items() if value is not None))


def _domain(given: argparse.Namespace) -> str:
    return str(getattr(given, "name", None) or "")


def _access_key(kubectl: Kubectl, given: argparse.Namespace) -> int:
    if given.action == "create":
        text = access_keys.create(kubectl)
    elif given.action == "list":
        text = access_keys.list_keys(kubectl)
    else:
        text = access_keys.revoke(kubectl, given.id)
    sys.stdout.write(text)
    return DONE


def _rbac(kubectl: Kubectl, given: argparse.Namespace) -> int:
    verbs = given.verbs or list(rights.OF_VERBS)
    roles = rights.roles(
        verbs,
        namespace=printable(namespace_of(kubectl, given.namespace)),
        domain=given.domain or "",
        statistics=given.statistics,
    )
    for verb in verbs:
        needed = rights.rights_of(verb, domain=given.domain or "NAME", statistics=given.statistics)
        less = rights.optional_of(verb, domain=given.domain or "NAME")
        sys.stdout.write(f"# {verb}: {'; '.join(right.sentence() for right in needed) or 'no right'}\n")
        if less:
            sys.stdout.write(f"#   shows less without: {'; '.join(right.sentence() for right in less)}\n")
    if any(one.resource == "pods/proxy" for verb in verbs for one in rights.OF_VERBS[verb]):
        sys.stdout.write("# pods/proxy reaches every port of every pod of the namespace, not relays alone.\n")
    sys.stdout.write(rights.as_yaml(roles))
    return DONE


if __name__ == "__main__":
    main()
