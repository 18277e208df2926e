"""Calls on the admin port of relays, through the API server's proxy to pods.

A pod belongs to a tenant, so its answer may be anything: it is bounded, parsed, and never printed as it came.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, TypeVar

from cryptography import x509
from pydantic import BaseModel, ValidationError

from wsedge_operator.cli import metrics
from wsedge_operator.cli.diagnosis import Relay
from wsedge_operator.cli.exit_codes import FAILED, FORBIDDEN, NOT_FOUND, TOO_OLD
from wsedge_operator.cli.gateway import Answer, Gateway
from wsedge_operator.cli.metrics import Metrics
from wsedge_operator.cli.rendering import printable
from wsedge_operator.cli.rights import ASK, DOMAIN, ORDER, POD, PODS, TOKEN, Right
from wsedge_operator.desired.names import ADMIN_PORT, DOMAIN_LABEL, child_name, selector_labels
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
WSEDGE: Final = "apis/wsedge.io/v1alpha1"
_AT_ONCE: Final = 8
_MOST_CONNECTIONS: Final = 2**31 - 1  # as the operator
_MOST_PAGES: Final = 10_000  # 10 million connections: an answer that never ends is not a relay's


class Secrets:
    """The Secret of a domain's relays: their admin token, and the certificate that they serve."""

    def __init__(self, data: Mapping[str, str]) -> None:
        self.token = _decoded(data.get(ADMIN_TOKEN_FILE)).decode("latin-1").strip()
        self._certificate = _decoded(data.get(TLS_CERTIFICATE))

    @property
    def certificate_end(self) -> datetime | None:
        """The end of validity of the certificate, None without one."""
        try:
            chain = x509.load_pem_x509_certificates(self._certificate)
        except ValueError:
            return None
        return min(one.not_valid_after_utc for one in chain)


def read_domain(gateway: Gateway, name: str) -> dict[str, Any]:
    """Return a WebSocketDomain; raises PluginError."""
    found: dict[str, Any] = gateway.get(f"{domains_path(gateway.namespace)}/{_quoted(name)}", DOMAIN)
    return found


def domains_path(namespace: str) -> str:
    """Return the path of the WebSocketDomains of a namespace."""
    return f"{namespace_path(namespace, WSEDGE)}/websocketdomains"


def namespace_path(namespace: str, api: str = "api/v1") -> str:
    """Return the path of the objects of a namespace that an API has."""
    return f"/{api}/namespaces/{_quoted(namespace)}"


def read_pods(gateway: Gateway, domain: str) -> list[dict[str, Any]]:
    """Return the relay pods of a domain, in the order of their names; raises PluginError."""
    selector = ",".join(f"{key}={value}" for key, value in selector_labels(domain).items())
    path = f"{namespace_path(gateway.namespace)}/pods?labelSelector={_quoted(selector)}"
    found: list[dict[str, Any]] = gateway.get(path, PODS)["items"]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def domain_of_pod(gateway: Gateway, pod: str) -> str:
    """Return the name of the WebSocketDomain whose relay a pod is; raises PluginError."""
    path = f"{namespace_path(gateway.namespace)}/pods/{_quoted(pod)}"
    labels = gateway.get(path, POD)["metadata"].get("labels") or {}
    if DOMAIN_LABEL not in labels:
        raise PluginError(f"The pod {printable(pod)} is no relay.", NOT_FOUND)
    return str(labels[DOMAIN_LABEL])


def read_secrets(gateway: Gateway, domain: str) -> Secrets:
    """Return the Secret of a domain's relays; raises PluginError."""
    path = f"{namespace_path(gateway.namespace)}/secrets/{_quoted(child_name(domain))}"
    return Secrets(gateway.get(path, TOKEN).get("data") or {})


class AdminPorts:
    """The admin ports of the relays of a domain. `token` is empty where the user may not read it."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        self._gateway = gateway
        self._headers = {ADMIN_TOKEN_HEADER: token} if token else {}

    def relays(self, pods: list[dict[str, Any]]) -> tuple[Relay, ...]:
        """Return all relays with the answers of those that run; a failure is in `silent`."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return tuple(pool.map(self._relay, pods))

    def scrapes(self, relays: tuple[Relay, ...]) -> tuple[Relay, ...]:
        """Return the relays with a second scrape, of those that answered before."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return tuple(pool.map(self._scraped, relays))

    def connections(self, pod: str, host: str) -> Iterator[OpenConnection]:
        """Yield the open connections of a relay; raises PluginError."""
        after: str | None = "0.0"
        for _ in range(_MOST_PAGES):
            query = urllib.parse.urlencode(
                {"domain": host, "limit": MOST_LISTED_CONNECTIONS, "after": after or ""}
            )
            page = self._parsed(OpenConnections, self._ask("GET", pod, f"connections?{query}", ASK), pod)
            yield from page.connections
            after = page.next
            if after is None:
                return
        raise PluginError(f"The relay {printable(pod)} lists connections without end.")

    def close(self, pod: str, connection: str) -> None:
        """Close a connection; raises PluginError, with the code NOT_FOUND when it is not open any more."""
        answer = self._ask("POST", pod, f"connections/{_quoted(connection)}/close", ORDER)
        shown = printable(f"{pod}/{connection}")
        self._check(answer, pod, 202, unknown=f"The connection {shown} is not open any more.")

    def drain(self, pod: str, seconds: float | None) -> None:
        """Let a relay drain; raises PluginError."""
        query = "" if seconds is None else f"?seconds={seconds:g}"
        self._check(self._ask("POST", pod, f"drain{query}", ORDER), pod, 202)

    def text(self, pod: str, path: str) -> str:
        """Return what a relay answers to a GET; raises PluginError."""
        answer = self._ask("GET", pod, path, ASK)
        self._check(answer, pod, 200)
        return answer.body.decode(errors="replace")

    def _relay(self, pod: dict[str, Any]) -> Relay:
        name = str(pod["metadata"]["name"])
        if (pod.get("status") or {}).get("phase") != "Running" or not (pod["status"].get("podIP")):
            return Relay(pod, silent="it does not run yet.")
        try:
            state = self._parsed(RelayState, self._ask("GET", name, "config", ASK), name)
            if not 0 <= state.openConnections <= _MOST_CONNECTIONS:
                raise _no_relay(name)
            return Relay(pod, state, metrics.read(self.text(name, "metrics")))
        except PluginError as error:
            return Relay(pod, silent=_cause(error))

    def _scraped(self, relay: Relay) -> Relay:
        if relay.state is None:
            return relay
        try:
            later: Metrics = metrics.read(self.text(relay.name, "metrics"))
        except PluginError as error:
            return Relay(relay.pod, silent=_cause(error))
        return Relay(relay.pod, relay.state, relay.metrics, later)

    def _ask(self, method: str, pod: str, path: str, right: Right) -> Answer:
        place = f"{namespace_path(self._gateway.namespace)}/pods/{_quoted(pod)}:{ADMIN_PORT}"
        body = b"" if method == "POST" else None
        return self._gateway.call(method, f"{place}/proxy/{path}", right, headers=self._headers, body=body)

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
    if error.code == FORBIDDEN and error.more:
        return "you lack the right to get pods/proxy (kubectl wsedge rbac status)."
    return str(error)


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except ValueError:
        return b""


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
