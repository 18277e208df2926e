"""`kubectl wsedge statement`: what a namespace is billed, asked of the statistics by a token of it."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from wsedge_operator.cli.exit_codes import FORBIDDEN, NOT_FOUND, UNREACHABLE, USAGE
from wsedge_operator.cli.gateway import Answer, Gateway
from wsedge_operator.cli.relays import namespace_path
from wsedge_operator.cli.rendering import TABLE, document, printable, table
from wsedge_operator.cli.rights import READER, STATISTICS
from wsedge_operator.errors import PluginError
from wsedge_statistics.contract import TOKEN_AUDIENCE, TOKEN_HEADER

_SECONDS: Final = 600  # of the token's life: the shortest that the API server gives
_PLACE: Final = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253}):([0-9]{1,5})")
_LIST: Final = ("PERIOD", "STATE", "FROM", "UNTIL", "CLOSES AFTER", "LINES", "AMOUNT")
_LINES: Final = ("AREA", "METHOD", "CYCLE", "FROM", "UNTIL", "QUANTITY", "AMOUNT")


@dataclass(frozen=True, slots=True)
class Place:
    """The pod of the statistics, and its port."""

    namespace: str
    pod: str
    port: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the place of NAMESPACE/POD:PORT; raises PluginError."""
        match = _PLACE.fullmatch(text)
        if match is None:
            raise PluginError("Give the pod of the statistics as NAMESPACE/POD:PORT.", USAGE)
        return cls(match[1], match[2], match[3])


def run(gateway: Gateway, period: str | None, form: str, statistics: str) -> str:
    """Return a statement, or the list of all; raises PluginError. `period` is such as 2026-11 or current."""
    place = Place.of(statistics)
    path = "/v1/statements" if period is None else f"/v1/statements/{urllib.parse.quote(period, safe='')}"
    answer = _ask(gateway, place, path)
    if answer.status != 200:
        raise _problem(answer, place)
    found = answer.json()
    if form != TABLE:
        return document(found, form)
    return _listed(found) if period is None else _shown(found)


def _ask(gateway: Gateway, place: Place, path: str) -> Answer:
    """Return the answer of the statistics, which read the account of the token's namespace."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": _SECONDS},
    }
    account = f"{namespace_path(gateway.namespace)}/serviceaccounts/default"
    granted = gateway.post(f"{account}/token", READER, request)
    right = replace(STATISTICS, namespace=place.namespace, names=(f"{place.pod}:{place.port}",))
    target = f"{namespace_path(place.namespace)}/pods/{place.pod}:{place.port}/proxy{path}"
    return gateway.call("GET", target, right, headers={TOKEN_HEADER: granted["status"]["token"]})


def _problem(answer: Answer, place: Place) -> PluginError:
    failure = answer.failure
    if failure is not None and answer.status == 404:
        where = f"{place.namespace}/{place.pod}"
        return PluginError(
            f"There is no pod {where} of statistics: name theirs by --statistics NAMESPACE/POD:PORT.",
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
    return f"{printable(head)}\n{table(_LINES, rows)}" + (f"Total  {printable(total)}\n" if total else "")


def _money(holder: Mapping[str, Any]) -> str:
    amount = holder.get("amount")
    return "" if amount is None else f"{amount} {holder.get('currency') or ''}".strip()
