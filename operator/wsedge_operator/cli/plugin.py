"""`kubectl wsedge`: a plugin of kubectl, which finds the program `kubectl-wsedge` in PATH."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from wsedge_operator.cli import access_keys
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.errors import OperatorError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a verb; exit code 1 with one line on standard error when it fails."""
    given = parser().parse_args(arguments)
    chosen = {"namespace": given.namespace, "context": given.context, "kubeconfig": given.kubeconfig}
    kubectl = Kubectl(tuple(f"--{name}={value}" for name, value in chosen.items() if value is not None))
    try:
        if given.action == "create":
            text = access_keys.create(kubectl)
        elif given.action == "list":
            text = access_keys.list_keys(kubectl)
        else:
            text = access_keys.revoke(kubectl, given.id)
    except OperatorError as error:
        sys.stderr.write(f"kubectl-wsedge: {error}\n")
        sys.exit(1)
    sys.stdout.write(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    answer = argparse.ArgumentParser(prog="kubectl-wsedge", description="wsedge for users of kubectl.")
    answer.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    verbs = answer.add_subparsers(dest="verb", metavar="VERB", required=True)
    keys = verbs.add_parser("accesskey", help="access keys of a namespace, for programs written for DCDN")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    texts = {
        "create": "make a key and print its secret, once",
        "list": "print the ids of keys",
        "revoke": "remove a key, which ends within seconds",
    }
    for name, text in texts.items():
        action = actions.add_parser(name, help=text)
        for option in ("--namespace", "--context", "--kubeconfig"):
            short = ("-n",) if option == "--namespace" else ()
            action.add_argument(*short, option, help="as kubectl's")
        if name == "revoke":
            action.add_argument("id", metavar="ID")
    return answer


if __name__ == "__main__":
    main()
