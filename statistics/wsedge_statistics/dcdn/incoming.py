"""A request of the RPC as it arrived: method, path, headers and parameters. Pure.

Parameters come in the query, in a form body, or in both, and all of them are signed. A name that is given
twice is refused: a client that signed one value could be answered for the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from wsedge_statistics.dcdn import faults

MAX_PARAMETERS: Final = 100
FORM_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request. Names of headers are in lower case; `query` are the parameters of the URL alone."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    parameters: Mapping[str, str]
    body: bytes

    @property
    def wants_json(self) -> bool:
        """Whether the answer is JSON. The original's default is XML; the new SDKs only send Accept."""
        chosen = self.parameters.get("Format")
        if chosen is not None:
            return chosen.upper() == "JSON"
        return "application/json" in self.headers.get("accept", "").lower()


def read_incoming(
    method: str, path: str, headers: Iterable[tuple[bytes, bytes]], query: bytes, body: bytes
) -> Incoming:
    """Return a request with its parameters decoded. Raises RpcError."""
    named = _headers(headers)
    in_query = _pairs(query, "the query")
    in_body: list[tuple[str, str]] = []
    if named.get("content-type", "").partition(";")[0].strip().lower() == FORM_TYPE:
        in_body = _pairs(body, "the form")
    return Incoming(method, path, named, _once(in_query), _once([*in_query, *in_body]), body)


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    named: dict[str, str] = {}
    for raw, value in headers:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1").strip()
        if name in named and (name in ("authorization", "host") or name.startswith("x-acs-")):
            raise faults.unreadable(f"the header {name} is given more than once")
        named[name] = f"{named[name]},{text}" if name in named else text
    return named


def _pairs(encoded: bytes, place: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError:  # too many fields, or bytes that are not UTF-8
        reason = f"{place} is not UTF-8 in percent-encoding, or has more than {MAX_PARAMETERS} parameters"
        raise faults.unreadable(reason) from None


def _once(pairs: list[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise faults.unreadable("a parameter is given more than once")
        found[name] = value
    return found
