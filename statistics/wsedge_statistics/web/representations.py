"""An answer in the form that its client wants: JSON or CSV, with an ETag.

Accept: text/csv, or format=csv    a table (RFC 4180) in place of JSON
numbers=text                       integers as text: JavaScript and spreadsheets round large ones
If-None-Match                      304 while the answer is the same; its ETag is of the whole answer
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from pydantic_core import to_json

from wsedge_statistics.numbers.ranges import instant_text

JSON: Final = "application/json"
CSV: Final = "text/csv"
_CACHING: Final = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_RANGE: Final = re.compile(r"\s*([a-z*]+/[a-z0-9.+*-]+)\s*((?:;[^,]*)?)", re.IGNORECASE)
_QUALITY: Final = re.compile(r";\s*q=([01](?:\.\d{0,3})?)", re.IGNORECASE)
# A spreadsheet takes a cell for a formula that begins with one of these, also after spaces; the last four are
# their full-width forms.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_ROWS_OF_CHUNK: Final = 500

Cell = str | int | float | bool | datetime | None
Table = Iterable[Sequence[Cell]]


def wants_csv(request: Request, asked: str | None) -> bool:
    """Return whether the answer is a table: the parameter `format` counts before the header Accept."""
    if asked is not None:
        return asked == "csv"
    accepted = {JSON: 0.0, CSV: 0.0}
    for kind, parameters in _RANGE.findall(request.headers.get("accept", "*/*")):
        quality = _QUALITY.search(parameters)
        if kind.lower() in accepted:
            accepted[kind.lower()] = float(quality[1]) if quality else 1.0
        elif kind.lower() in ("*/*", "application/*"):
            accepted[JSON] = max(accepted[JSON], float(quality[1]) if quality else 1.0)
    return accepted[CSV] > accepted[JSON]


def respond(
    request: Request, document: BaseModel, *, numbers: str | None, table: Table | None, name: str
) -> Response:
    """Return the document as JSON, or as a table of the name; 304 where the client has it already."""
    as_text = numbers == "text"
    content: Any = document.model_dump(mode="json", exclude_unset=True)
    if as_text:
        content = with_text(content)
    body = to_json(content)
    kind = JSON if table is None else CSV
    tag = f'"{hashlib.sha256(kind.encode() + body).hexdigest()[:32]}"'
    headers = {"ETag": tag, **_CACHING}
    if is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    if table is None:
        return Response(body, media_type=JSON, headers=headers)
    headers |= {
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "X-Content-Type-Options": "nosniff",
    }
    # the page after this one has no other place in a table
    following = content.get("next")
    if following is not None:
        headers["Link"] = f'<{request.url.include_query_params(cursor=following)}>; rel="next"'
    return StreamingResponse(lines_of(table, as_text=as_text), media_type=CSV, headers=headers)


def is_known(header: str | None, tag: str) -> bool:
    """Return whether If-None-Match (RFC 9110 section 13.1.2) has a tag; weak ones are compared too."""
    return header is not None and (header.strip() == "*" or tag in _TAG.findall(header))


def with_text(content: Any) -> Any:
    """Return JSON content with every integer as text."""
    if isinstance(content, dict):
        return {name: with_text(value) for name, value in content.items()}
    if isinstance(content, list):
        return [with_text(value) for value in content]
    return str(content) if isinstance(content, int) and not isinstance(content, bool) else content


def lines_of(table: Table, *, as_text: bool) -> Iterator[str]:
    """Yield a table as CSV (RFC 4180), some hundred rows at a time. The first row has the names."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    for number, row in enumerate(table, 1):
        writer.writerow([cell_of(cell, as_text=as_text) for cell in row])
        if number % _ROWS_OF_CHUNK == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def cell_of(cell: Cell, *, as_text: bool) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    An apostrophe marks text. With `as_text` it also marks integers, and names that could be taken for a
    number or a date.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return instant_text(cell)
    if isinstance(cell, str):
        is_marked = cell.lstrip(" \u00a0").startswith(_FORMULA) or (as_text and cell[:1].isdigit())
        return f"'{cell}" if is_marked else cell
    return f"'{cell}" if as_text and isinstance(cell, int) else str(cell)
