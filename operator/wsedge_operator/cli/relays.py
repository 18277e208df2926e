"""Calls on the admin port of relays, through the API server's proxy to pods.

A pod belongs to a tenant, so its answer may be anything: it is bounded, parsed, and never printed as it came.
"""

from __future__ import annotations

import base64
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from pydantic import BaseModel, ValidationError

from wsedge_operator.cli import metrics
from wsedge_operator.cli.diagnosis import Relay
from wsedge_operator.cli.exit_codes import FAILED, FORBIDDEN, NOT_FOUND, TOO_OLD, UNREACHABLE
from wsedge_operator.cli.gateway import Answer, Bound, Gateway
from wsedge_operator.cli.metrics import Metrics
from wsedge_operator.cli.objects import is_running, namespace_path, quoted
from wsedge_operator.cli.rendering import printable
from wsedge_operator.cli.rights import ASK, ORDER, TOKEN, Right
from wsedge_operator.desired.names import ADMIN_PORT, admin_name, child_name
from wsedge_operator.desired.relay_config import TLS_CERTIFICATE
from wsedge_operator.errors import PluginError
from wsedge_relay.contract import (
    ADMIN_TOKEN_FILE,
    ADMIN_TOKEN_HEADER,
    MOST_LISTED_CONNECTIONS,
    OpenConnection,
    OpenConnections,
    RelayState,
)

_Model = TypeVar("_Model", bound=BaseModel)
_MOST_PAGES: Final = 10_000  # 10 million connections: an answer that never ends is not a relay's
_CURSOR: Final = re.compile(r"([0-9]{1,19})[.]([0-9]{1,19})")
_MOST_CONNECTIONS: Final = 2**31 - 1  # as the operator
_MOST_COUNTED: Final = 2**63
# `status` asks all relays of a namespace, of which some hang.
_STATE: Final = Bound(64 * 1024, 5.0)  # bytes as the operator accepts
_SCRAPE: Final = Bound(8 * 1024 * 1024, 5.0)  # bytes as the chart's monitor accepts
_PAGE: Final = Bound(8 * 1024 * 1024, 20.0)  # a thousand connections


class Secrets:
    """The Secret for people of a domain: its relays' admin token, and the certificate that they serve."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self.token = _decoded(data.get(ADMIN_TOKEN_FILE)).decode("latin-1").strip()
        self._certificate = _decoded(data.get(TLS_CERTIFICATE))

    @property
    def certificate_end(self) -> datetime | None:
        """The end of validity of the certificate, None without one."""
        try:
            chain = x509.load_pem_x509_certificates(self._certificate)
            return min(one.not_valid_after_utc for one in chain)
        except ValueError:
            return None


def read_secrets(gateway: Gateway, domain: str) -> Secrets:
    """Return the Secret for people of a domain; raises PluginError.

    An operator of an older release made none: then that of the relays, which has the private keys beside.
    """
    place = f"{namespace_path(gateway.namespace)}/secrets"
    try:
        found = gateway.get(f"{place}/{quoted(admin_name(domain))}", TOKEN)
    except PluginError as error:
        if error.code != NOT_FOUND:
            raise
        found = _of_an_older_operator(gateway, f"{place}/{quoted(child_name(domain))}")
    return Secrets(found.get("data") or {})


def _of_an_older_operator(gateway: Gateway, path: str) -> Any:
    try:
        return gateway.get(path, TOKEN)
    except PluginError as error:
        if error.code != FORBIDDEN:
            raise
        name = printable(path.rpartition("/")[2])
        raise PluginError(
            "The operator has made no Secret for people yet, as one of an older release, so the token is only"
            f" beside the private keys, in the Secret {name}, which you may not get.",
            FORBIDDEN,
        ) from None


class AdminPorts:
    """The admin ports of the relays of a domain. `token` is empty where the user may not read it."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self._gateway = gateway
        self._headers = {ADMIN_TOKEN_HEADER: token} if token else {}

    def relay(self, pod: Mapping[str, Any]) -> Relay:
        """Return a relay with its answers; a failure of its own is in `silent`.

        Raises PluginError when the API server does not answer.
        """
        name = str(pod["metadata"]["name"])
        if not is_running(pod):
            return Relay(pod, silent="it does not run yet.")
        try:
            state = self._parsed(RelayState, self._ask("GET", name, "config", ASK, _STATE), name)
            if not 0 <= state.openConnections <= _MOST_CONNECTIONS:
                raise _no_relay(name)
            return Relay(pod, state, metrics.read(self.text(name, "metrics")))
        except PluginError as error:
            return Relay(pod, silent=_cause(error))

    def scraped(self, relay: Relay) -> Relay:
        """Return a relay with a second scrape, if it answered before; raises as `relay`."""
        if relay.state is None:
            return relay
        try:
            later: Metrics = metrics.read(self.text(relay.name, "metrics"))
        except PluginError as error:
            return Relay(relay.pod, silent=_cause(error))
        return Relay(relay.pod, relay.state, relay.metrics, later)

    def connections(self, pod: str, host: str) -> Iterator[OpenConnection]:
        """Yield the open connections of a relay; raises PluginError."""
        after = "0.0"
        for _ in range(_MOST_PAGES):
            query = urllib.parse.urlencode({"domain": host, "limit": MOST_LISTED_CONNECTIONS, "after": after})
            answer = self._ask("GET", pod, f"connections?{query}", ASK, _PAGE)
            page = self._parsed(OpenConnections, answer, pod)
            if not all(map(_is_plausible, page.connections)):
                raise _no_relay(pod)
            yield from page.connections
            if page.next is None:
                return
            if _place(page.next) <= _place(after):  # a page may be empty: that of a worker without clients
                break
            after = page.next
        raise PluginError(f"The relay {printable(pod)} lists connections without end.")

    def close(self, pod: str, connection: str) -> None:
        """Close a connection; raises PluginError, with the code NOT_FOUND when it is not open any more."""
        answer = self._ask("POST", pod, f"connections/{quoted(connection)}/close", ORDER, _PAGE)
        shown = printable(f"{pod}/{connection}")
        self._check(answer, pod, 202, unknown=f"The connection {shown} is not open any more.")

    def drain(self, pod: str, seconds: float | None) -> None:
        """Let a relay drain; raises PluginError."""
        query = "" if seconds is None else f"?seconds={seconds:g}"
        self._check(self._ask("POST", pod, f"drain{query}", ORDER, _PAGE), pod, 202)

    def text(self, pod: str, path: str) -> str:
        """Return what a relay answers to a GET; raises PluginError."""
        answer = self._ask("GET", pod, path, ASK, _SCRAPE)
        self._check(answer, pod, 200)
        return answer.body.decode(errors="replace")

    def _ask(self, method: str, pod: str, path: str, right: Right, bound: Bound) -> Answer:
        """Return the answer of a pod; raises PluginError.

        A pod that hangs up, or answers as `kubectl proxy` does without an API server, is told from an API
        server that is away: that one answers nothing else either.
        """
        place = f"{namespace_path(self._gateway.namespace)}/pods/{quoted(pod)}:{ADMIN_PORT}"
        body = b"" if method == "POST" else None
        try:
            return self._gateway.call(
                method, f"{place}/proxy/{path}", right, headers=self._headers, body=body, bound=bound
            )
        except PluginError as error:
            if error.code != UNREACHABLE or not self._gateway.answers():
                raise
            text = f"The relay {printable(pod)} gives no answer within {bound.seconds:g} s, or ends it early."
            raise PluginError(text, NOT_FOUND) from None

    def _check(self, answer: Answer, pod: str, wanted: int, *, unknown: str = "") -> None:
        if answer.status == wanted:
            return
        raise _problem(answer, printable(pod), unknown)

    def _parsed(self, model: type[_Model], answer: Answer, pod: str) -> _Model:
        self._check(answer, pod, 200)
        try:
            return model.model_validate_json(answer.body)
        except ValidationError:
            raise _no_relay(pod) from None


def _no_relay(pod: str) -> PluginError:
    return PluginError(f"What answers on the admin port of {printable(pod)} is no relay.")


def _place(cursor: str) -> tuple[int, int]:
    """Return the worker process and the number in it; of another text a place before all others."""
    match = _CURSOR.fullmatch(cursor)
    return (int(match[1]), int(match[2])) if match is not None else (-1, 0)


def _is_plausible(one: OpenConnection) -> bool:
    """Return whether a relay can have counted this: a larger number could not be shown."""
    counts = (one.sentBytes, one.receivedBytes, one.sentMessages, one.receivedMessages)
    times = (one.clientRttSeconds or 0.0, one.originRttSeconds or 0.0)
    return all(0 <= count <= _MOST_COUNTED for count in counts) and all(map(math.isfinite, times))


def _problem(answer: Answer, pod: str, unknown: str) -> PluginError:
    """Return the error of an answer: the API server's own, which is a Status, or the relay's, a line."""
    failure = answer.failure
    if failure is not None:
        if answer.status == 404:
            return PluginError(f"The relay {pod} is gone: its pod does not exist any more.", NOT_FOUND)
        message = printable(failure.get("message") or "")
        return PluginError(f"The API server does not reach the relay {pod}: {message}", NOT_FOUND)
    line = printable(answer.body.decode(errors="replace").strip())
    match answer.status:
        case 404 if unknown and line.startswith("No open connection"):
            return PluginError(unknown, NOT_FOUND)
        case 404 | 405:
            return PluginError(
                f"The relay {pod} is of an older release, which does not know this; upgrade it.", TOO_OLD
            )
        case 401 | 403:
            return PluginError(f"The relay {pod} does not accept its domain's token: {line}", FORBIDDEN)
        case 421:
            return PluginError(
                f"The relay {pod} needs its token, since your API server has a name: your rights must include"
                " the Secret that `kubectl wsedge rbac` names.",
                FORBIDDEN,
            )
    return PluginError(f"The relay {pod} answered {answer.status}: {line}", FAILED)


def _cause(error: PluginError) -> str:
    """Return why a relay is silent; raises an error that is not the relay's."""
    if error.code == UNREACHABLE:
        raise error
    if error.code == FORBIDDEN and error.more:
        return "you lack the right to get pods/proxy (kubectl wsedge rbac status)."
    return str(error)


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError:
        return b""
