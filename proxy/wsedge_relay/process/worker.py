"""One worker process of a relay: `python -m wsedge_relay.process.worker`, started by the supervisor.

A worker has a data path and metering like a relay of one process, on ports that it shares with the other
workers. Its orders arrive on its channel, and it ends when its supervisor ends.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import structlog

from wsedge_relay.errors import CannotListenError, SpoolUnavailableError
from wsedge_relay.logs import configure
from wsedge_relay.metering.spool import Spool, uptime
from wsedge_relay.metering.usage import Usage
from wsedge_relay.process.assignment import Assignment, loaded_from_json
from wsedge_relay.process.orders import Order, carry_out, first_order
from wsedge_relay.process.relay_process import RelayProcess, raise_file_limit
from wsedge_relay.process.shared_limits import LimitTable, PodLimits
from wsedge_relay.pump.selector import PumpSelector, choose
from wsedge_relay.telemetry import exposition
from wsedge_relay.telemetry.merging import to_json
from wsedge_relay.tunnel.shedding import ShedOrder

_PR_SET_PDEATHSIG: Final = 1
_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a worker and return its exit code."""
    parser = argparse.ArgumentParser(prog="wsedge-relay worker", description=__doc__.partition("\n")[0])
    parser.add_argument("--number", type=int, required=True, help="the worker's number, shown by ps")
    parser.add_argument(
        "--channel", type=int, required=True, help="descriptor of the socket to the supervisor"
    )
    parser.add_argument("--limits", type=int, required=True, help="descriptor of the shared limits")
    options = parser.parse_args(arguments)
    _end_with(os.getppid())
    for ignored in (
        signal.SIGINT,
        signal.SIGHUP,
    ):  # a terminal signals all processes; only the supervisor's orders count
        signal.signal(ignored, signal.SIG_IGN)
    channel = socket.socket(fileno=options.channel)
    try:
        number, details = first_order(channel)
    except ConnectionError:
        return 1  # the supervisor has ended
    assignment = Assignment.from_json(details)
    settings = assignment.settings
    configure(settings.log_format, settings.log_level, worker=assignment.number)
    raise_file_limit()
    selector = PumpSelector(form=choose(settings.pump))
    table = LimitTable(options.limits, own=assignment.number - 1)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        try:
            return runner.run(_run(assignment, selector, PodLimits(table), channel, number))
        except (CannotListenError, SpoolUnavailableError) as error:
            print(f"wsedge-relay: {error}", file=sys.stderr)  # noqa: T201
            return 2


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, for any reason.

    A worker without a supervisor would keep the ports and the spool that the next relay needs.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # the parent ended before prctl took effect
        os.kill(os.getpid(), signal.SIGKILL)


async def _run(
    assignment: Assignment, selector: PumpSelector, limits: PodLimits, channel: socket.socket, first: int
) -> int:
    settings = assignment.settings
    usage = Usage(now=time.time(), monotonic=time.monotonic, uptime=uptime)
    spool = None
    if settings.spool_dir is not None:
        spool = Spool(
            settings.spool_dir,
            pod=settings.pod_name,
            uid=settings.pod_uid,
            epoch=usage.epoch,
            clocks=usage.clocks,
        )
        usage.succeed(spool.earlier_peaks(usage.bucket))
    relay = RelayProcess(
        settings,
        assignment.loaded,
        selector,
        usage=usage,
        spool=spool,
        limiter_of=limits.limiter,
        in_pod=assignment.in_pod,
    )
    await relay.start(assignment.listen, shared=True)
    channel.setblocking(False)
    orders = asyncio.create_task(carry_out(channel, _orders(relay), done=first), name="carry out orders")
    orders.add_done_callback(lambda _: relay.hurry())  # the supervisor has ended
    code = await relay.serve()
    if orders.done() and (fault := orders.exception()) is not None:
        _log.error("task crashed", task=orders.get_name(), exc_info=fault)
        return 1
    orders.cancel()
    return code


def _orders(relay: RelayProcess) -> dict[str, Order]:
    registry = exposition.registry(relay.collector)

    async def apply(document: Any) -> str | None:
        try:
            relay.apply(loaded_from_json(document))
        except OSError as error:  # reported, so that the supervisor retries; to raise it would end the worker
            return error.strerror or str(error)
        return None

    async def status(_: Any) -> dict[str, Any]:
        state = relay.state.model_dump(mode="json")
        return {"ready": relay.ready, "state": state, "shed": asdict(relay.shed_progress)}

    async def read_metrics(_: Any) -> list[Any]:
        relay.sweep()
        return to_json(exposition.read(registry))

    async def drain(seconds: float | None) -> None:
        relay.start_drain(seconds)

    async def shed(order: dict[str, Any]) -> None:
        relay.shed(ShedOrder(**order))

    async def connections(asked: dict[str, Any]) -> dict[str, Any]:
        return await relay.connections(**asked)

    async def close(name: str) -> bool:
        return relay.close_connection(name)

    async def resume(_: Any) -> None:
        relay.resume()

    async def stop(_: Any) -> None:
        relay.stop()

    async def hurry(_: Any) -> None:
        relay.hurry()

    async def geo(_: Any) -> None:
        relay.check_geo_databases()

    return {
        "apply": apply,
        "status": status,
        "metrics": read_metrics,
        "drain": drain,
        "shed": shed,
        "connections": connections,
        "close": close,
        "resume": resume,
        "stop": stop,
        "hurry": hurry,
        "geo": geo,
    }


if __name__ == "__main__":
    sys.exit(main())
