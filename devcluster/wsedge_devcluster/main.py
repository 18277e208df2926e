"""The command `wsedge-devcluster`: up, build, kubectl, helm, quickstart, example."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from wsedge_devcluster.binaries.build import ensure_binaries
from wsedge_devcluster.cluster.cluster import Cluster
from wsedge_devcluster.errors import DevclusterError
from wsedge_devcluster.settings import DevclusterSettings
from wsedge_devcluster.terminal import ProgressPrinter


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    answer = argparse.ArgumentParser(prog="wsedge-devcluster", description=__doc__)
    answer.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    commands = answer.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a cluster and keep it until Ctrl-C or SIGTERM")
    up.add_argument(
        "--dir", type=Path, help="folder of the cluster, which stays at the end (default: a temporary folder)"
    )
    up.add_argument("--nodes", type=int, help="nodes that run pods (default 2)")
    up.add_argument("--simulated-nodes", type=int, help="nodes that only mark pods ready (default 0)")
    commands.add_parser("build", help="build the binaries into the cache, print their folder")
    for tool in ("kubectl", "helm"):
        sub = commands.add_parser(tool, help=f"run the built {tool}: wsedge-devcluster {tool} -- ARGUMENTS")
        sub.add_argument("arguments", nargs=argparse.REMAINDER)
    quickstart = commands.add_parser("quickstart", help="the product on this machine: what `make run` does")
    quickstart.add_argument("--once", action="store_true", help="compare the numbers once and end")
    example = commands.add_parser("example", help="a use case of examples/ on this machine, with its page")
    example.add_argument("name", help="for example bullet-comments; examples/README.md lists all")
    example.add_argument(
        "--port", type=int, default=8088, help="of the page on 127.0.0.1 (default 8088; 0: free)"
    )
    example.add_argument("--once", action="store_true", help="see that the page is served, and end")
    return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except DevclusterError as error:
        print(f"wsedge-devcluster: {error}", file=sys.stderr)  # noqa: T201 (a command's own output)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "quickstart":
        from wsedge_devcluster.quickstart import quickstart

        return quickstart.main(once=options.once)
    if options.command == "example":
        from wsedge_devcluster.quickstart import example

        return example.main(options.name, port=options.port, once=options.once)
    if options.command == "up":
        given = {"nodes": options.nodes, "simulated_nodes": options.simulated_nodes, "dir": options.dir}
        return _up(DevclusterSettings(**{key: value for key, value in given.items() if value is not None}))
    binaries = ensure_binaries(ProgressPrinter())
    if options.command == "build":
        print(binaries["kubectl"].parent)  # noqa: T201
        return 0
    return _exec(binaries[options.command], options.arguments)


def _exec(program: Path, arguments: list[str]) -> int:
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    os.execv(program, [program.name, *arguments])  # noqa: S606 (replaces this process by the tool)


def _up(settings: DevclusterSettings) -> int:
    progress = ProgressPrinter()
    progress(f"settings: {settings.model_dump_json()}")
    cluster = Cluster(
        directory=settings.dir,
        nodes=settings.nodes,
        simulated_nodes=settings.simulated_nodes,
        backoff_scale=settings.backoff_scale,
        sync_seconds=settings.sync_seconds,
        progress=progress,
    )
    # Before the start, so that a signal during the start ends the cluster too.
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell without job control starts background commands with SIGINT ignored, and Python inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cluster.start()
        progress(f"ready; logs are in {cluster.logs_dir}. Use it from another terminal with:")
        print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)  # noqa: T201
        cluster.wait()
    except KeyboardInterrupt:
        progress("stopping")
    finally:
        cluster.stop()
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
