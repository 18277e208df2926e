"""Write the tables of docs/relay/configuration.md from the relay's contract.

`python -m wsedge_operator.api.generation.relay_fields [--check]`, from the root of the repository.
The text around the tables is written by hand. They are the fields of RelayConfig, between two markers:

    <!-- fields: generated from proxy/wsedge_relay/contract by `make generate` -->
    <!-- end -->
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from wsedge_operator.api.generation.schema import Schema
from wsedge_operator.api.generation.writing import run_page
from wsedge_operator.api.generation.writing import with_tables as written
from wsedge_relay.contract import RelayConfig

PAGE: Final = Path("docs/relay/configuration.md")
_ORIGINS: Final = "[which origin gets a connection](origins.md#which-origin-gets-a-connection)"
_PLAIN: Final = "[plain requests](behaviour.md#plain-requests-socketio-signalr-sockjs)"
_ADMISSION: Final = "[which clients are admitted](limits.md#which-clients-are-admitted)"
_PROXIES: Final = "[behind a load balancer](behaviour.md#behind-a-load-balancer)"
# The section of docs/relay/ that describes the behaviour of a part.
SEE: Final[Mapping[str, str]] = {
    "statistics": "[what is counted](metrics.md#what-is-counted-and-what-a-crash-costs)",
    "domains[].origins[]": _ORIGINS,
    "domains[].originRequest": _ORIGINS,
    "domains[].originRequest.stickyCookie": _PLAIN,
    "domains[].originHealthCheck": _ORIGINS,
    "domains[].tls": "[WebSocket over HTTP/2](behaviour.md#websocket-over-http2)",
    "domains[].clients": f"{_ADMISSION} and {_PROXIES}",
    "domains[].passThrough": _PLAIN,
    "domains[].limits": _ADMISSION,
    "domains[].accessLog": "[the access log](metrics.md#the-access-log)",
}


def with_tables(page: str) -> str:
    """Return the page with the current tables; raises ValueError unless it has one pair of markers."""
    return written(PAGE, page, {"fields:": f"\n{tables()}\n"})


def tables() -> str:
    """Return a table for each part of a RelayConfig: its fields with type, bounds, default and meaning."""
    schema = RelayConfig.model_json_schema()
    return "\n".join(_part("", schema, schema["$defs"]))


def _part(path: str, model: Schema, models: Mapping[str, Schema]) -> Iterator[str]:
    """Yield the lines of the part at `path`, then the lines of the parts below it."""
    if path:
        yield from (f"### `{path}`", "")
        see = f" See {SEE[path]}." if path in SEE else ""
        yield from (" ".join(model["description"].split()) + see, "")
    yield from ("| field | type | default | meaning |", "| --- | --- | --- | --- |")
    below: list[tuple[str, Schema]] = []
    for name, field in model["properties"].items():
        inner, mark = _resolve(field, models)
        here = f"{path}{'.' if path else ''}{name}{mark}"
        kind = _type(inner)
        if "properties" in inner:
            below.append((here, inner))
            kind = f"[object](#{re.sub(r'[^a-z0-9]', '', here.lower())})"
        if mark:
            kind = f"list of {kind}{_length(field)}"
        yield f"| `{name}` | {kind} | {_default(name, field, model)} | {field['description']} |"
    yield ""
    for here, inner in below:
        yield from _part(here, inner, models)


def _resolve(field: Schema, models: Mapping[str, Schema]) -> tuple[Schema, str]:
    """Return the schema of a field's value, without null and references; with `[]`, of its items."""
    mark = ""
    while True:
        if "anyOf" in field:
            field = next(choice for choice in field["anyOf"] if choice.get("type") != "null")
        elif "$ref" in field:
            field = models[field["$ref"].rpartition("/")[2]]
        elif "items" in field:
            field, mark = field["items"], "[]"
        else:
            return field, mark


def _type(field: Schema) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "integer":
        return f"integer, {field['minimum']} to {field['maximum']}"
    return "true or false" if field["type"] == "boolean" else str(field["type"])


def _length(field: Schema) -> str:
    """Return the bounds of a list's length, such as `, 1 to 64`; empty without an upper bound."""
    field = next((choice for choice in field.get("anyOf", ()) if choice.get("type") == "array"), field)
    return f", {field.get('minItems', 0)} to {field['maxItems']}" if "maxItems" in field else ""


def _default(name: str, field: Schema, model: Schema) -> str:
    if name in model.get("required", ()):
        return "**required**"
    value = field.get("default")
    return "" if isinstance(value, dict) else f"`{json.dumps(value)}`"


def main(arguments: Sequence[str] | None = None, page: Path = PAGE) -> int:
    """Write or check the page; return the exit code."""
    return run_page(PAGE, with_tables, arguments=arguments, page=page)


if __name__ == "__main__":
    sys.exit(main())
