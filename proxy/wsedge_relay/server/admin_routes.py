"""The routes of the admin port, the same for a relay of one process and for a supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from wsedge_relay.config.follow import log_applied
from wsedge_relay.config.watch import ConfigWatch
from wsedge_relay.contract import Listen, RelayState
from wsedge_relay.errors import WorkerSilentError
from wsedge_relay.server import permission, web_pages
from wsedge_relay.server.admin import (
    Admin,
    Call,
    Handler,
    Question,
    Reply,
    drain_seconds,
    json_reply,
    question_of,
    shed_order,
    text_reply,
)
from wsedge_relay.settings import Settings
from wsedge_relay.telemetry import exposition
from wsedge_relay.tunnel.shedding import ShedOrder, ShedProgress

_log = structlog.get_logger(__name__)


class Served(Protocol):
    """The relay behind the admin port."""

    @property
    def unhealthy(self) -> str | None:
        """The reason why the relay needs a restart, a sentence; None while it needs none."""

    @property
    def unready(self) -> str | None:
        """The reason why the relay accepts no new connections, a sentence; None while it accepts them."""

    @property
    def state(self) -> RelayState:
        """The generation in force, drain and open connections; not the rejected configuration."""

    @property
    def workers(self) -> int:
        """The number of processes that accept connections."""

    @property
    def restarts(self) -> int:
        """The number of restarts of worker processes."""

    async def refresh(self) -> None:
        """Bring `state` up to date."""

    async def exposition(self, own: CollectorRegistry) -> bytes:
        """Return the metrics in Prometheus' text format: those of `own` and of all worker processes."""

    def drain(self, seconds: float | None) -> None:
        """Start to drain over `seconds` (None: each domain's drainSeconds). The process does not exit."""

    def shed(self, order: ShedOrder) -> None:
        """Close some open connections; the order replaces the one before. Needs an up-to-date `state`."""

    @property
    def shed_progress(self) -> ShedProgress:
        """The progress of the last order to shed, as of the last `refresh`."""

    async def connections(self, question: Question) -> Mapping[str, Any]:
        """Return a page of open connections, a `contract.OpenConnections`; raises WorkerSilentError."""

    async def close_connection(self, name: str) -> bool:
        """Close one connection with 1001; False: it is not open. Raises WorkerSilentError."""

    def resume(self) -> bool:
        """End a drain that `drain` started and accept connections; return False while the relay stops."""


class AdminRoutes:
    """The admin port of a relay: /healthz, /readyz, /metrics, /config, /connections, /shed and POST /drain.

    `watch` has the configuration in force; `collectors` add metrics of this process.

    POST /drain does not end the process; a signal does. When no signal arrives within `drain_stay_seconds`
    after the drain, the relay accepts connections again: a pod that the operator forgot would otherwise stay
    alive, count as a replica and refuse every client.

    POST /shed closes some connections, once for each name of an order: a caller that got no answer may repeat
    its request.
    """

    def __init__(
        self, relay: Served, watch: ConfigWatch, settings: Settings, collectors: Iterable[Collector] = ()
    ) -> None:
        self._settings = settings
        self._resuming: asyncio.TimerHandle | None = None
        self._resumed = 0
        self._last_shed = ""  # the name of the last order
        self._relay = relay
        self._watch = watch
        self._registry = exposition.registry(exposition.StateCollector(self._snapshot), *collectors)
        self._admin = Admin(
            {
                ("GET", "/healthz"): self._healthz,
                ("GET", "/readyz"): self._readyz,
                ("GET", "/metrics"): self._metrics,
                ("GET", "/config"): self._config,
                ("POST", "/drain"): self._permitted("drain rejected", self._drain),
                ("GET", "/shed"): self._shed_progress,
                ("POST", "/shed"): self._permitted("shed rejected", self._shed),
                ("GET", "/connections"): self._permitted("list of connections rejected", self._connections),
                ("POST", "/connections/*/close"): self._permitted("close rejected", self._close),
            },
            check=self._rejected,
        )
        self._address = ("", 0)
        self._names: frozenset[str] = frozenset()

    async def start(self, listen: Listen) -> Listen:
        """Listen, and return `listen` with the admin port's IP address and port; raises CannotListenError."""
        host = listen.adminHost or listen.host
        self._names = frozenset(name.lower() for name in (host, *(listen.adminNames or ())))
        address, port = self._address = await self._admin.start(host, listen.admin)
        return listen.model_copy(update={"adminHost": address, "admin": port})

    def announce(self, addresses: Mapping[str, tuple[str, int]]) -> None:
        """Log the address of each listener, and that the configuration is in force."""
        for listener, (host, port) in (*addresses.items(), ("admin", self._address)):
            _log.info("listening", listener=listener, host=host, port=port)
        log_applied(self._watch.in_force)

    async def close(self) -> None:
        """Stop listening."""
        if self._resuming is not None:
            self._resuming.cancel()
        await self._admin.close()

    def _snapshot(self) -> exposition.Snapshot:
        relay = self._relay
        state = relay.state
        return exposition.Snapshot(
            generation=state.generation,
            ready=relay.unready is None,
            draining=state.draining,
            config_refusals=self._watch.refusals,
            config_is_refused=self._watch.refused is not None,
            workers=relay.workers,
            worker_restarts=relay.restarts,
            drains_abandoned=self._resumed,
        )

    def _rejected(self, call: Call) -> Reply | None:
        reply = web_pages.refusal(call, self._names, is_vouched_for=self._is_vouched_for)
        if reply is not None:
            # At level debug: a web page can send many.
            _log.debug("admin request rejected", peer=call.peer, status=reply.status)
        return reply

    def _permitted(self, event: str, handler: Handler) -> Handler:
        """Return a handler of calls with the token alone; others are logged as `event`."""

        async def answer(call: Call) -> Reply:
            refused = permission.refusal(call, self._settings.certificates)
            if refused is None:
                return await handler(call)
            _log.warning(event, peer=call.peer, status=refused.status)
            return refused

        return answer

    def _is_vouched_for(self, call: Call) -> bool:
        return permission.is_vouched_for(call, self._settings.certificates)

    async def _healthz(self, _call: Call) -> Reply:
        return _ok_unless(self._relay.unhealthy)

    async def _readyz(self, _call: Call) -> Reply:
        return _ok_unless(self._relay.unready)

    async def _metrics(self, _call: Call) -> Reply:
        return Reply(200, await self._relay.exposition(self._registry), exposition.CONTENT_TYPE)

    async def _config(self, _call: Call) -> Reply:
        await self._relay.refresh()
        return json_reply(200, self._watch.with_refusal(self._relay.state).model_dump(mode="json"))

    async def _drain(self, call: Call) -> Reply:
        """Start to drain. The process ends at SIGTERM only: the kubelet restarts a container that exits."""
        try:
            seconds = drain_seconds(call.query)
        except ValueError as error:
            return text_reply(400, str(error))
        self._relay.drain(seconds)
        _log.info("drain requested", peer=call.peer, seconds=seconds)
        self._resume_after(seconds)
        return text_reply(202, "The relay is draining.")

    async def _connections(self, call: Call) -> Reply:
        """Answer with a page of the open connections; clients' addresses are personal data."""
        try:
            question = question_of(call.query)
        except ValueError as error:
            return text_reply(400, str(error))
        try:
            return json_reply(200, await self._relay.connections(question))
        except WorkerSilentError as error:
            return text_reply(503, f"A worker process gave no list: {error}.")

    async def _close(self, call: Call) -> Reply:
        """Close one connection with 1001, at its next frame boundary."""
        try:
            found = await self._relay.close_connection(call.name)
        except WorkerSilentError as error:
            return text_reply(503, f"A worker process did not answer: {error}.")
        if not found:
            return text_reply(404, "No open connection has this id.")
        _log.info("close requested", peer=call.peer, connection=call.name)
        return text_reply(202, "The relay closes the connection.")

    async def _shed_progress(self, _call: Call) -> Reply:
        await self._relay.refresh()
        return json_reply(200, self._relay.shed_progress.to_json())

    async def _shed(self, call: Call) -> Reply:
        """Start to close some connections, so that their clients connect anew, perhaps to another relay."""
        try:
            order = shed_order(call.query)
        except ValueError as error:
            return text_reply(400, str(error))
        if self._relay.unready is not None:
            return text_reply(409, self._relay.unready)
        if order.name != self._last_shed:
            self._last_shed = order.name
            await self._relay.refresh()
            self._relay.shed(order)
            _log.info("shed requested", peer=call.peer, order=order.name, connections=order.connections)
        return text_reply(202, f"The relay closes up to {order.connections} connections.")

    def _resume_after(self, seconds: float | None) -> None:
        """Schedule the end of the drain; after two requests the later of both ends applies."""
        if seconds is None:
            domains = self._watch.in_force.config.domains
            seconds = max((domain.lifecycle.drainSeconds for domain in domains), default=0)
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds + self._settings.drain_stay_seconds
        if self._resuming is not None:
            when = max(when, self._resuming.when())
            self._resuming.cancel()
        self._resuming = loop.call_at(when, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        if self._relay.resume():
            self._resumed += 1
            _log.warning(
                "drain abandoned", reason="no signal stopped the relay, so it accepts connections again"
            )


def _ok_unless(reason: str | None) -> Reply:
    return text_reply(200, "ok") if reason is None else text_reply(503, reason)
