"""The command `wsedge-operator`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final

import aiohttp
import structlog
from pydantic import ValidationError

from wsedge_operator import logs
from wsedge_operator.desired.pods_digest import operator_version
from wsedge_operator.errors import NotFoundError, OperatorError, advice
from wsedge_operator.kube.access import find_access
from wsedge_operator.kube.client import Client
from wsedge_operator.kube.discovery import Discovery
from wsedge_operator.kube.kinds import DOMAIN, PLAN
from wsedge_operator.kube.watch import Follower
from wsedge_operator.peers.relays import relay_session
from wsedge_operator.runtime.accounts import Accounts
from wsedge_operator.runtime.admin import serving
from wsedge_operator.runtime.agenda import Agenda
from wsedge_operator.runtime.cache import Cache
from wsedge_operator.runtime.clock import Clock, WallClock
from wsedge_operator.runtime.controller import Controller
from wsedge_operator.runtime.directory import DirectoryKeeper
from wsedge_operator.runtime.discovery import StatisticsDiscovery
from wsedge_operator.runtime.intake import Intake
from wsedge_operator.runtime.lease import Election
from wsedge_operator.runtime.metrics import Metrics
from wsedge_operator.runtime.optional import OptionalKinds
from wsedge_operator.runtime.reading import Reader, Readings, Scope
from wsedge_operator.runtime.reconcilers.account import AccountReconciler
from wsedge_operator.runtime.reconcilers.directory import DirectoryReconciler
from wsedge_operator.runtime.reconcilers.domain import DomainReconciler
from wsedge_operator.runtime.reconcilers.rollouts import RolloutsReconciler
from wsedge_operator.runtime.rivals import Rivals
from wsedge_operator.runtime.snapshots import Gatherer
from wsedge_operator.runtime.stage import Stage
from wsedge_operator.runtime.triggers import DIRECTORY
from wsedge_operator.runtime.writer import Writer
from wsedge_operator.settings import Settings, problems

log = structlog.get_logger()

KINDS_RETRY_SECONDS = 2.0
_COLLECT_AFTER: Final = 10_000  # objects that were made and not freed; Python's default is 700
# Changes arrive in bursts, and each Directory is sent whole.
DIRECTORY_DELAY: Final = timedelta(milliseconds=300)


def main(given: Sequence[str] | None = None, *, clock: Clock | None = None) -> None:
    """Run the operator (`run`, the default), or print what it would do with manifests (`explain`).

    `given` are the arguments (None: those of the process). `clock` is the time of all decisions.
    """
    parser = argparse.ArgumentParser(
        prog="wsedge-operator",
        description="Decides and applies what BillingPlans and WebSocketDomains ask for.",
        epilog="Settings of run are environment variables WSEDGE_OPERATOR_…, and KUBECONFIG.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('wsedge')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("run", help="watch the cluster and reconcile until SIGTERM (default)")
    commands.add_parser(
        "explain", help="print what the operator would do with manifests in files", add_help=False
    )
    arguments, rest = parser.parse_known_args(given)
    if arguments.command == "explain":
        sys.exit(_explain(rest))
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.writelines(problems(error))
        sys.exit(2)
    logs.configure(settings.log_level, settings.log_format)
    log.info("starting", **settings.model_dump())
    # The cache is many objects without cycles: by default the collector would walk through all of them again
    # and again while they arrive.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    try:
        asyncio.run(run(settings, clock or WallClock()))
    except* OperatorError as group:
        for failure in _leaves(group):
            log.error("operator failed", error=str(failure), kind=type(failure).__name__)
        sys.exit(1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


def _explain(arguments: list[str]) -> int:
    from wsedge_operator.cli.explain import main as explain

    return explain(arguments)


async def run(settings: Settings, clock: Clock) -> None:
    """Reconcile until SIGTERM or SIGINT; raises OperatorError when it lost its Lease."""
    stop = asyncio.Event()
    identity = settings.pod_name or f"{socket.gethostname()}-{os.getpid()}"
    async with AsyncExitStack() as stack:
        access = find_access()
        client = await stack.enter_async_context(Client(access, call_seconds=settings.call_seconds))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        relays = await stack.enter_async_context(relay_session())
        rivals = Rivals(client, settings.namespace, settings.lease_name, settings.namespaces)
        election = Election(
            client,
            settings.namespace,
            settings.lease_name,
            identity,
            settings.lease_seconds,
            settings.pod_uid if settings.pod_name else "",
            rivals,
        )
        parts = _parts(settings, client.guarded(election.check), session, relays, identity, clock)
        readings = Readings(_scopes(settings), parts.metrics)
        await stack.enter_async_context(
            serving(
                settings.listen_address, parts.metrics.registry, lambda: readings.problem or election.problem
            )
        )
        _stop_on_signals(stop)
        try:
            async with asyncio.TaskGroup() as group:
                serve = group.create_task(_serve(settings, client, parts, election, readings))
                await stop.wait()
                log.info("stopping")
                serve.cancel()
        finally:
            await election.release()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one operator process that use the cache."""

    agenda: Agenda
    intake: Intake
    gatherer: Gatherer
    controller: Controller
    discovery: StatisticsDiscovery
    optional: OptionalKinds
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class _Common:
    """What most parts are made of. `session` calls the statistics, `relays` calls the relays."""

    settings: Settings
    client: Client
    session: aiohttp.ClientSession
    relays: aiohttp.ClientSession
    clock: Clock
    cache: Cache
    metrics: Metrics
    agenda: Agenda
    accounts: Accounts


def _parts(
    settings: Settings,
    client: Client,
    session: aiohttp.ClientSession,
    relays: aiohttp.ClientSession,
    identity: str,
    clock: Clock,
) -> _Parts:
    """Return the parts, connected; `session` and `relays` are as in _Common."""
    cache, metrics = Cache(settings.namespace), Metrics()
    agenda = Agenda(clock, metrics, delays={DIRECTORY.kind: DIRECTORY_DELAY})
    accounts = Accounts(
        client, cache, settings.default_time_zone, settings.namespaces, settings.selected_labels, clock
    )
    common = _Common(settings, client, session, relays, clock, cache, metrics, agenda, accounts)
    intake = Intake(
        client=client,
        cache=cache,
        accounts=accounts,
        agenda=agenda,
        metrics=metrics,
        namespaces=settings.namespaces,
    )
    optional = OptionalKinds(
        discovery=Discovery(client),
        client=client,
        intake=intake,
        scopes=_scopes(settings),
        request=intake.request_exposed,
        restarted=metrics.watch_restarted,
    )
    gatherer = _gatherer(common, optional)
    discovery = StatisticsDiscovery(
        client=client, cache=cache, gatherer=gatherer, intake=intake, service=settings.statistics_service
    )
    controller = _controller(common, gatherer, identity)
    return _Parts(agenda, intake, gatherer, controller, discovery, optional, metrics)


def _gatherer(common: _Common, optional: OptionalKinds) -> Gatherer:
    settings = common.settings
    return Gatherer(
        client=common.client,
        cache=common.cache,
        session=common.relays,
        image=settings.relays,
        pod_default=settings.relay_pod,
        accounts=common.accounts,
        statistics_url="" if settings.statistics_service else None,
        admin_peers=settings.admin_peers,
        cluster=settings.cluster,
        denied_networks=settings.denied_origin_networks,
        optional=optional,
        load_period=timedelta(seconds=settings.load_seconds),
    )


def _controller(common: _Common, gatherer: Gatherer, identity: str) -> Controller:
    """Return the controller with its reconcilers, which write as `identity`."""
    writer = Writer(
        client=common.client,
        cache=common.cache,
        agenda=common.agenda,
        note_admitted=gatherer.note_admitted,
        clock=common.clock,
        metrics=common.metrics,
        identity=identity,
    )
    stage = _stage(common)
    return Controller(
        reconcilers={
            "account": AccountReconciler(
                accounts=common.accounts,
                cache=common.cache,
                writer=writer,
                agenda=common.agenda,
                clock=common.clock,
            ),
            "domain": _domain_reconciler(common, gatherer, writer, stage),
            "directory": _directory_reconciler(common, gatherer),
            "rollouts": RolloutsReconciler(stage=stage, clock=common.clock),
        },
        agenda=common.agenda,
        cache=common.cache,
        clock=common.clock,
        metrics=common.metrics,
        workers=common.settings.workers,
    )


def _stage(common: _Common) -> Stage:
    settings = common.settings
    return Stage(
        common.cache,
        common.agenda,
        common.metrics,
        version=operator_version(settings.relays, settings.relay_pod),
        limit=settings.max_parallel_rollouts,
        pause=timedelta(seconds=settings.rollout_pause_seconds),
    )


def _domain_reconciler(common: _Common, gatherer: Gatherer, writer: Writer, stage: Stage) -> DomainReconciler:
    return DomainReconciler(
        gatherer=gatherer,
        cache=common.cache,
        writer=writer,
        clock=common.clock,
        relays=common.relays,
        stage=stage,
        take_request=common.agenda.take_request,
    )


def _directory_reconciler(common: _Common, gatherer: Gatherer) -> DirectoryReconciler:
    keeper = DirectoryKeeper(
        common.cache,
        gatherer.claims,
        common.accounts,
        common.session,
        common.settings.statistics_token_file,
        timedelta(seconds=common.settings.directory_seconds),
    )
    return DirectoryReconciler(keeper=keeper, gatherer=gatherer, clock=common.clock)


async def _serve(
    settings: Settings,
    client: Client,
    parts: _Parts,
    election: Election,
    readings: Readings,
) -> None:
    await _await_kinds(client)
    async with asyncio.TaskGroup() as group:
        reader = _reader(settings, client, parts, readings)
        for scope in _scopes(settings):
            group.create_task(reader.read(scope), name=f"reader of {scope or 'all namespaces'}")
        await readings.filled()
        group.create_task(parts.optional.follow(), name="optional kinds")
        await parts.optional.settled()
        await election.acquire()
        parts.metrics.leading.set(1)
        group.create_task(election.renew_until_lost())
        group.create_task(parts.intake.follow_namespaces())
        await parts.discovery.find()
        group.create_task(parts.discovery.follow())
        for scope in _scopes(settings):
            await parts.gatherer.list_replica_sets(scope)
        parts.agenda.request(DIRECTORY)
        group.create_task(parts.controller.work())


def _scopes(settings: Settings) -> tuple[Scope, ...]:
    return settings.namespaces or (None,)


def _reader(settings: Settings, client: Client, parts: _Parts, readings: Readings) -> Reader:
    intake, restarted = parts.intake, parts.metrics.watch_restarted

    def followers(scope: Scope) -> list[Follower]:
        return [
            Follower(client, kind, scope, intake.list_kind, intake.receive, restarted=restarted)
            for kind in intake.kinds(scope)
        ]

    return Reader(readings, followers, intake.probe, intake.list_unwatched, settings.resync_seconds)


async def _await_kinds(client: Client) -> None:
    """Return when the API server serves both kinds: before that nothing can be read."""
    while True:
        try:
            served = await client.served(DOMAIN.group, DOMAIN.version)
        except NotFoundError:
            served = frozenset()
        except OperatorError as error:
            # Not the same as a kind that is not served: applying the CRDs would not help.
            log.warning("API server not readable", error=str(error), advice=advice(error))
            await asyncio.sleep(KINDS_RETRY_SECONDS)
            continue
        if served >= {DOMAIN.plural, PLAN.plural}:
            return
        missing = sorted({DOMAIN.plural, PLAN.plural} - served)
        log.warning("CustomResourceDefinitions not served yet", missing=missing)
        await asyncio.sleep(KINDS_RETRY_SECONDS)
