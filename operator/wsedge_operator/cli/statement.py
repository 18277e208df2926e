"""`kubectl wsedge statement`: what a namespace is billed, asked of the statistics by a token of it."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from wsedge_operator.cli.exit_codes import FORBIDDEN, NOT_FOUND, UNREACHABLE, USAGE
from wsedge_operator.cli.gateway import Answer, Gateway
from wsedge_operator.cli.objects import namespace_path
from wsedge_operator.cli.rendering import TABLE, document, printable, table
from wsedge_operator.cli.rights import PODS, READER, STATISTICS_POD, of_statistics
from wsedge_operator.errors import PluginError
from wsedge_operator.reconcile.domain.pods import is_ready
from wsedge_statistics.contract import TOKEN_AUDIENCE, TOKEN_HEADER

_SECONDS: Final = 600  # of the token's life: the shortest that the API server gives
_PLACE: Final = re.compile(r"([a-z0-9-]{1,63})(?:/([a-z0-9.-]{1,253}):([0-9]{1,5}))?")
_LABEL: Final = "app.kubernetes.io/name=wsedge-statistics"  # of the chart, for each ledger
_PORT: Final = "http"  # the name of the container's port in the chart
_MOST_NAMED: Final = 5
_OPEN: Final = "Open"
_LIST: Final = ("PERIOD", "STATE", "FROM", "UNTIL", "CLOSES AFTER", "LINES", "AMOUNT")
_LINES: Final = ("AREA", "METHOD", "CYCLE", "FROM", "UNTIL", "QUANTITY", "AMOUNT")


@dataclass(frozen=True, slots=True)
class Place:
    """A pod of the statistics, and its port."""

    namespace: str
    pod: str
    port: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}:{self.port}"


def run(gateway: Gateway, period: str | None, form: str, statistics: str) -> str:
    """Return a statement, or the list of all; raises PluginError. `period` is such as 2026-11 or current.

    `statistics` is NAMESPACE, in which their pods are found, or NAMESPACE/POD:PORT.
    """
    match = _PLACE.fullmatch(statistics)
    if match is None:
        raise PluginError("Give the statistics as NAMESPACE or NAMESPACE/POD:PORT.", USAGE)
    places = [Place(match[1], match[2], match[3])] if match[2] else _places(gateway, match[1])
    path = "/v1/statements" if period is None else f"/v1/statements/{urllib.parse.quote(period, safe='')}"
    answer, place = _first_answer(gateway, places, path)
    if answer.status != 200:
        raise _problem(answer, place)
    found = answer.json()
    if not isinstance(found, Mapping):
        raise PluginError(f"What answers at {place} is no statistics of wsedge.")
    if form != TABLE:
        return document(found, form)
    return _listed(found) if period is None else _shown(found)


def _places(gateway: Gateway, namespace: str) -> list[Place]:
    """Return the ready pods of the statistics in a namespace; raises PluginError.

    A ledger on ClickHouse has pods with names of a Deployment, a release another prefix, so pods are found by
    the label. A user who may not list them asks the first pod of the chart's StatefulSet.
    """
    found = _pods(gateway, f"{namespace_path(namespace)}/pods")
    if found is None:
        name, _, port = STATISTICS_POD.partition(":")
        return [Place(namespace, name, port)]
    ready = [place for place, is_ready in found if is_ready]
    if ready:
        return ready
    if found:
        raise PluginError(
            f"The statistics in namespace {namespace} have no ready pod: kubectl get pods --namespace"
            f" {namespace} --selector {_LABEL}",
            NOT_FOUND,
        )
    raise _nowhere(gateway, namespace)


def _nowhere(gateway: Gateway, namespace: str) -> PluginError:
    """Return the error of a namespace without statistics; it names other namespaces that seem to have some.

    Those are not asked: whoever may create a pod somewhere could label it so that it gets the token.
    """
    elsewhere = _pods(gateway, "/api/v1/pods") or []
    others = sorted({place.namespace for place, _ in elsewhere})[:_MOST_NAMED]
    hint = f" Pods with their label are in {printable(', '.join(others))}." if others else ""
    return PluginError(
        f"There are no statistics in namespace {namespace}: name theirs by --statistics NAMESPACE.{hint}",
        NOT_FOUND,
    )


def _pods(gateway: Gateway, path: str) -> list[tuple[Place, bool]] | None:
    """Return the pods with the label of statistics, and whether they are ready; None without the right."""
    try:
        found = gateway.get(f"{path}?labelSelector={urllib.parse.quote(_LABEL)}", PODS)["items"]
    except PluginError as error:
        if error.code != FORBIDDEN:
            raise
        return None
    return [
        (
            Place(pod["metadata"]["namespace"], pod["metadata"]["name"], str(port["containerPort"])),
            is_ready(pod),
        )
        for pod in found
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name") == _PORT
    ]


def _first_answer(gateway: Gateway, places: list[Place], path: str) -> tuple[Answer, Place]:
    """Return the answer of the first pod that is reached, about the account of the token's namespace."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": _SECONDS},
    }
    account = f"{namespace_path(gateway.namespace)}/serviceaccounts/default"
    granted = gateway.post(f"{account}/token", READER, request)
    headers = {TOKEN_HEADER: granted["status"]["token"]}
    for place in places:
        target = f"{namespace_path(place.namespace)}/pods/{place.pod}:{place.port}/proxy{path}"
        right = of_statistics(str(place))
        answer = gateway.call("GET", target, right, headers=headers)
        if answer.status == 200 or answer.failure is None:
            break  # else it has ended since the list, or does not answer: another one may
    return answer, place


def _problem(answer: Answer, place: Place) -> PluginError:
    failure = answer.failure
    if failure is not None and answer.status == 404:
        return PluginError(
            f"There is no pod {place.namespace}/{place.pod} of statistics: name theirs by --statistics.",
            NOT_FOUND,
        )
    if failure is not None:
        message = printable(failure.get("message") or "")
        return PluginError(f"The API server does not reach the statistics: {message}", UNREACHABLE)
    said = answer.json()
    text = said.get("detail") or said.get("title") if isinstance(said, Mapping) else ""
    sentence = f"The statistics answered {answer.status}: {printable(text or '')}"
    match answer.status:
        case 401 | 403:
            return PluginError(sentence, FORBIDDEN)
        case 404:
            return PluginError(sentence, NOT_FOUND)
    return PluginError(sentence)


def _listed(found: Mapping[str, Any]) -> str:
    rows = [
        (
            one.get("period"),
            one.get("state"),
            one.get("start"),
            one.get("end"),
            one.get("closesAfter"),
            one.get("lines"),
            _money(one),
        )
        for one in found.get("statements") or ()
    ]
    return table(_LIST, (["" if cell is None else cell for cell in row] for row in rows))


def _shown(found: Mapping[str, Any]) -> str:
    head = f"{found.get('account')}, {found.get('period')}: {found.get('state')}"
    head += f", {found.get('start')} to {found.get('end')}"
    if found.get("state") == _OPEN:
        head += f", counted until {found.get('completeUntil')}"
    rows = [
        (
            one.get("area"),
            one.get("method"),
            one.get("cycle"),
            one.get("start"),
            one.get("end"),
            f"{one.get('quantity')} {one.get('unit')}",
            _money((one.get("price") or {}) | {"currency": found.get("currency")}),
        )
        for one in found.get("lines") or ()
    ]
    total = _money(found)
    text = f"{printable(head)}\n" + (table(_LINES, rows) if rows else "No lines: nothing was metered.\n")
    if found.get("prices") is None:
        return f"{text}No amounts: the statistics have no price book.\n"
    return text + (f"Total  {printable(total)}\n" if total else "")


def _money(holder: Mapping[str, Any]) -> str:
    amount = holder.get("amount")
    return "" if amount is None else f"{amount} {holder.get('currency') or ''}".strip()
