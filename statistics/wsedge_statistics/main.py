"""The program `wsedge-statistics`: serves until SIGTERM, then commits all queued writes."""

from __future__ import annotations

import gc
import json
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import structlog
import uvicorn
from starlette.types import ASGIApp

from wsedge_statistics import commands, logs
from wsedge_statistics.app import build
from wsedge_statistics.dcdn.rpc import Rpc, by_port
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.errors import LedgerError, SettingsError
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.identity.jwks import KeyServer, KeySet
from wsedge_statistics.identity.key_secrets import ApiServer, KeySecrets
from wsedge_statistics.identity.reviews import Reviews
from wsedge_statistics.identity.tokens import Verifier
from wsedge_statistics.ledger import Ledger, Room
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.opening import free_bytes, open_ledger, shared
from wsedge_statistics.presence import Presence
from wsedge_statistics.price_file import PriceFile
from wsedge_statistics.services import Billing, Services
from wsedge_statistics.settings import Settings, parser, read_settings
from wsedge_statistics.statements.closing import Closer, ClosingThread
from wsedge_statistics.web.connections import Connections, Limits, bounded
from wsedge_statistics.web.patience import Patience
from wsedge_statistics.web.server import Server
from wsedge_statistics.web.tls import Certificate

SHUTDOWN_SECONDS = 20
YOUNG_OBJECTS = 50_000  # about 10 MB, until the garbage collector looks for cycles
log = structlog.get_logger()


def utc_now() -> datetime:
    """Return the time of the wall clock."""
    return datetime.now(UTC)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; exit code 0 after SIGTERM, 2 on bad settings, 1 on a ledger that it cannot open."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in commands.NAMES:
        sys.exit(commands.run(given))
    if parser().parse_known_args(given)[0].openapi:
        sys.stdout.write(json.dumps(build(None).openapi(), indent=2) + "\n")
        return
    try:
        settings = read_settings(given)
        listeners = listen_all(settings)
    except SettingsError as error:
        sys.exit(_fail(error, 2))
    logs.configure(form=settings.log_format, level=settings.log_level)
    log.info("starting", **settings.model_dump(mode="json"))
    with ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        run(settings, listeners)


def run(settings: Settings, listeners: Sequence[socket.socket]) -> None:
    """Open the ledger, serve until SIGTERM, close the ledger."""
    metrics = Metrics()
    try:
        ledger = open_ledger(settings, metrics, utc_now)
    except SettingsError as error:
        sys.exit(_fail(error, 2))
    except LedgerError as error:
        sys.exit(_fail(error, 1))
    try:
        serve(settings, ledger, metrics, listeners)
    except LedgerError as error:  # the stored Directory cannot be read: the file is damaged
        sys.exit(_fail(error, 1))
    finally:
        ledger.close()
        log.info("ended")


def _fail(error: Exception, code: int) -> int:
    """Write one line for a person; return the exit code."""
    sys.stderr.write(f"wsedge-statistics: {error}\n")
    return code


def listen_all(settings: Settings) -> list[socket.socket]:
    """Bind the sockets of the native API and, where it is set, of the RPC. Raises SettingsError."""
    listeners = [listen(*settings.address)]
    if settings.dcdn_address is not None:
        try:
            listeners.append(listen(*settings.dcdn_address, option="--dcdn-listen"))
        except SettingsError:
            listeners[0].close()
            raise
    return listeners


def listen(host: str, port: int, *, option: str = "--listen") -> socket.socket:
    """Bind a socket to serve on. Raises SettingsError."""
    with ExitStack() as failed:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            # asyncio sends answers at once (TCP_NODELAY) only where the socket names TCP as its protocol;
            # without it each answer to a kept connection waited 40 ms for an acknowledgement.
            listener = failed.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(512)
        except OSError as error:
            raise SettingsError(f"{option}: cannot listen on {host} port {port}: {error.strerror}") from None
        failed.pop_all()
    return listener


def serve(settings: Settings, ledger: Ledger, metrics: Metrics, listeners: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT; requests that have begun are answered first."""
    metrics.ledger.watch(size=ledger.size, backlog=ledger.backlog, writable=ledger.writable)
    services = Services(
        ledger=ledger,
        clock=utc_now,
        metrics=metrics,
        policy=Policy(frozenset(settings.operator_subject), frozenset(settings.admin_subject)),
        verifier=_verifier(settings),
        reviews=_reviews(settings),
        directory=DirectoryView.of(ledger.directory()),
        tenures=ledger.tenures(),
        room=Room(settings.account_bucket_rows, settings.account_rows, settings.account_keys),
        default_zone=settings.time_zone,
        grace=settings.grace,
        max_body=settings.max_body_bytes,
        max_inflated=settings.max_inflated_bytes,
        billing=_billing(settings),
        presence=None if settings.ledger == "clickhouse" else Presence(),
    )
    metrics.ledger.watch_disk(size=ledger.size, free=free_bytes(settings, ledger))
    presence = services.presence
    if presence is not None:
        metrics.relays.watch(
            lambda: presence.relays(None, now=services.monotonic()),
            lambda: presence.incomplete_buckets(
                monotonic=services.monotonic(), now=services.clock(), grace=services.grace
            ),
        )
    if services.billing.prices is not None:
        metrics.statements.watch_prices(services.billing.prices.valid)
    with ExitStack() as stack:
        stack.enter_context(shared(ledger, services))
        application: ASGIApp = build(services)
        if len(listeners) > 1:
            rpc = stack.enter_context(_rpc(settings, services))
            application = by_port(application, rpc, listeners[1].getsockname()[1])
        certificate = None
        if settings.dcdn_tls_cert is not None and settings.dcdn_tls_key is not None:
            certificate = Certificate(settings.dcdn_tls_cert, settings.dcdn_tls_key)
            certificate.load_if_changed()
        _serve(Patience(application, settings.question_seconds), services, listeners, certificate)


def _serve(
    application: ASGIApp,
    services: Services,
    listeners: Sequence[socket.socket],
    certificate: Certificate | None,
) -> None:
    server = Server(
        uvicorn.Config(
            application,
            # h11 bounds a request's head to 64 KiB; httptools accepts headers without a limit
            http=bounded(
                Connections(Limits().within_descriptors(), services.metrics.questions.closed_connections)
            ),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ),
        services,
        certificate,
    )
    # uvicorn raises the signal that ended it again, for the handlers that it replaced. The default handler
    # would end the process before the ledger is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    for listener, face in zip(listeners, ("native", "dcdn"), strict=False):
        host, port = listener.getsockname()[:2]
        log.info("listening", host=host, port=port, face=face)
    _spare_collections()
    with ClosingThread(Closer(services)) as closing:
        services.metrics.statements.watch_closing(closing.alive)
        server.run(sockets=list(listeners))


def _spare_collections() -> None:
    """Let the garbage collector leave out what the program has by now, and run seldom.

    A report of 1,500 rows makes some 10,000 objects, hardly any of them in a cycle. By default the collector
    looks at them after every 700, and now and then at all modules, while every report waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


@contextmanager
def _rpc(settings: Settings, services: Services) -> Iterator[Rpc]:
    """Yield the RPC while the Secrets with its access keys are followed."""
    if settings.api_server is None or settings.api_token_file is None:
        raise SettingsError("--dcdn-listen needs --api-server and --api-token-file")
    server = ApiServer(settings.api_server, settings.ca_file, settings.api_token_file)
    followed = KeySecrets(
        server, settings.access_key_namespace, changed=services.metrics.questions.access_keys.set
    )
    followed.start()
    try:
        yield Rpc(services, lambda: followed.keys)
    finally:
        followed.close()


def _billing(settings: Settings) -> Billing:
    prices = None if settings.price_book is None else PriceFile(settings.price_book)
    return Billing(settings.rules, timedelta(seconds=settings.statement_grace_seconds), prices)


def _verifier(settings: Settings) -> Verifier | None:
    if settings.jwks_url is None:
        return None  # a laptop: the settings refuse this on an address that is not loopback
    if settings.issuer is None:
        raise SettingsError("--jwks-url needs an issuer")
    server = KeyServer(settings.jwks_url, settings.ca_file, settings.api_token_file)
    return Verifier(KeySet(server.fetch), issuer=settings.issuer)


def _reviews(settings: Settings) -> Reviews | None:
    if not settings.review_tokens:
        return None
    if settings.api_server is None or settings.api_token_file is None or settings.issuer is None:
        raise SettingsError("--review-tokens needs --api-server, --api-token-file and --jwks-url")
    server = ApiServer(settings.api_server, settings.ca_file, settings.api_token_file)
    return Reviews(server, issuer=settings.issuer)


if __name__ == "__main__":
    main()
