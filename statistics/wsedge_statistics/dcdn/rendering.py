"""Answers as JSON or XML, as the original renders them. Pure.

An answer is one tree of objects, lists and plain values. In XML a list is its element repeated, and the root
has the operation's name and `Response`; an error's root is `Error`. A value of None is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

JSON_TYPE: Final = "application/json;charset=utf-8"
XML_TYPE: Final = "text/xml;charset=utf-8"
# Characters that no XML document can contain, escaped or not (XML 1.0 section 2.2).
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(tree: Mapping[str, Any], root: str, *, as_json: bool) -> tuple[bytes, str]:
    """Return the body of an answer and its media type; `root` is the name of the XML document's element."""
    if as_json:
        text = json.dumps(_without_none(tree), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace"), JSON_TYPE
    text = f"<?xml version='1.0' encoding='UTF-8'?>{_element(root, tree)}"
    return text.encode("utf-8", "replace"), XML_TYPE


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_none(part) for part in value]
    return value


def _element(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_element(name, part) for part in value)
    if isinstance(value, Mapping):
        inner = "".join(_element(key, part) for key, part in value.items())
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escape(_NO_XML.sub("\ufffd", str(value)))
    return f"<{name}>{inner}</{name}>"
