"""The command line of `kubectl wsedge`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from wsedge_operator.cli.connections import ORDERS
from wsedge_operator.cli.logs import LEVELS
from wsedge_operator.cli.rendering import FORMS, TABLE
from wsedge_operator.cli.rights import OF_VERBS, STATISTICS_NAMESPACE

SHELLS = ("bash", "zsh", "fish")
_MOST_WINDOW = 60.0
_MOST_DRAIN = 3600.0  # as the relay


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    answer = argparse.ArgumentParser(
        prog="kubectl-wsedge",
        description="wsedge for users of kubectl. Its exit codes are in docs/kubectl.md.",
    )
    answer.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    verbs = answer.add_subparsers(dest="verb", metavar="VERB", required=True)
    _status(verbs)
    _explain(verbs)
    _connections(verbs)
    _drain(verbs)
    _logs(verbs)
    _statement(verbs)
    _report(verbs)
    _rbac(verbs)
    _completion(verbs)
    _access_key(verbs)
    return answer


def _status(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("status", help="domains, their relays and origins, and what is wrong")
    verb.add_argument("name", nargs="?", metavar="NAME", help="a WebSocketDomain (default: all, a line each)")
    verb.add_argument(
        *("--all-namespaces", "-A"), action="store_true", help="the domains of all namespaces, a line each"
    )
    verb.add_argument(
        "--window",
        type=_window,
        default=1.0,
        metavar="SECONDS",
        help="time over which rates are taken, with NAME (1; 0: no rates)",
    )
    _output(verb)
    _place(verb)


def _explain(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("explain", help="what the operator would do with manifests in files, and when")
    verb.add_argument(
        *("--filename", "-f"),
        action="append",
        required=True,
        metavar="FILE",
        help="manifests, or a folder of them; - is stdin",
    )
    verb.add_argument("--namespace", "-n", help="of manifests without one (default: default)")
    verb.add_argument("--at", metavar="INSTANT", help="the instant to explain, RFC 3339 (default: now)")


def _connections(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("connections", help="the open connections of a domain")
    verb.add_argument("name", metavar="NAME", help="a WebSocketDomain")
    verb.add_argument("--client", metavar="ADDRESS", help="of clients whose address begins so")
    verb.add_argument(
        "--sort", choices=ORDERS, default="since", help="the oldest first, or the largest value"
    )
    verb.add_argument("--limit", type=_positive, metavar="N", help="show the first N (default: all)")
    _output(verb)
    _place(verb)
    close = verbs.add_parser("close", help="close one connection with 1001")
    close.add_argument("id", metavar="ID", help="as `connections` prints it: POD/ID")
    _place(close)


def _drain(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "drain", help="let a relay, or a domain's relays, close their connections over time"
    )
    verb.add_argument("name", metavar="NAME", help="a relay's pod, or a WebSocketDomain")
    verb.add_argument(
        "--seconds", type=_seconds, metavar="N", help="over this time (default: spec.lifecycle.drainSeconds)"
    )
    verb.add_argument("--all-relays", action="store_true", help="of a domain with more than one relay")
    _place(verb)


def _logs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("logs", help="the log of a domain's relays, filtered")
    verb.add_argument("name", metavar="NAME", help="a WebSocketDomain")
    verb.add_argument("--level", choices=LEVELS, default="", help="of this level or above")
    verb.add_argument("--event", default="", metavar="TEXT", help="whose event has this text")
    verb.add_argument("--client", default="", metavar="ADDRESS", help="of clients whose address begins so")
    verb.add_argument("--connection", default="", metavar="NUMBER", help="of one connection")
    verb.add_argument("--grep", default="", metavar="TEXT", help="with this text anywhere")
    verb.add_argument("--tail", type=int, default=-1, metavar="N", help="the last N of each relay (all)")
    verb.add_argument("--since", type=_duration, metavar="TIME", help="newer than this, such as 5m")
    verb.add_argument("--follow", action="store_true", help="and those that come")
    _output(verb, forms=(TABLE, "json"))
    _place(verb)


def _statement(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("statement", help="what the namespace is billed")
    verb.add_argument(
        "period", nargs="?", metavar="PERIOD", help="2026-11, 2026-11-05 or current (default: a list)"
    )
    _statistics(verb)
    _output(verb)
    _place(verb)


def _report(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("report", help="an archive for a support case, without Secrets")
    verb.add_argument(
        "--file", type=Path, metavar="FILE", help="its name (default: wsedge-report-TIME.tar.gz)"
    )
    verb.add_argument(
        "--lines", type=_positive, default=5000, metavar="N", help="log lines of each relay (5000)"
    )
    verb.add_argument("--clients", action="store_true", help="keep clients' addresses in log lines")
    _place(verb)


def _completion(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("completion", help="a script that completes kubectl-wsedge in a shell")
    verb.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"of {', '.join(SHELLS)}")


def _rbac(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("rbac", help="the rights that verbs need, and the Role that gives them")
    verb.add_argument(
        "verbs", nargs="*", type=_verb, metavar="VERB", help=f"of {', '.join(OF_VERBS)} (default: all)"
    )
    verb.add_argument(
        "--domain", metavar="NAME", help="limit the right to read Secrets to this WebSocketDomain"
    )
    _statistics(verb)
    _place(verb)


def _access_key(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = verbs.add_parser("accesskey", help="access keys of a namespace, for programs written for DCDN")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    texts = {
        "create": "make a key and print its secret, once",
        "list": "print the ids of keys",
        "revoke": "remove a key, which ends within seconds",
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text)
        _place(action)
        if name == "revoke":
            action.add_argument("id", metavar="ID")


def _statistics(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--statistics",
        default=STATISTICS_NAMESPACE,
        metavar="NAMESPACE[/POD:PORT]",
        help=f"where the statistics are ({STATISTICS_NAMESPACE}); for rights, /* is any pod",
    )


def _output(verb: argparse.ArgumentParser, forms: Sequence[str] = FORMS) -> None:
    verb.add_argument("--output", "-o", choices=forms, default=TABLE, help="form of the output")


def _place(verb: argparse.ArgumentParser) -> None:
    for option in ("--namespace", "--context", "--kubeconfig"):
        short = ("-n",) if option == "--namespace" else ()
        verb.add_argument(*short, option, help="as kubectl's")


def _duration(text: str) -> str:
    """Return a duration as kubectl takes it."""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|[smh]))+", text, re.ASCII):
        raise argparse.ArgumentTypeError("give a time such as 30s, 5m or 1h30m")
    return text


def _verb(text: str) -> str:
    if text not in OF_VERBS:
        raise argparse.ArgumentTypeError(f"no verb {text!r}: give some of {', '.join(OF_VERBS)}")
    return text


def _window(text: str) -> float:
    return _number(text, 0, _MOST_WINDOW)


def _seconds(text: str) -> float:
    return _number(text, 0, _MOST_DRAIN)


def _positive(text: str) -> int:
    return int(_number(text, 1, 10**9))


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"give a number from {least:g} to {most:g}")
    return number
