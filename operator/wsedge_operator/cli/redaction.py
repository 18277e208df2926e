"""Remove secrets from texts and objects before they leave a cluster in a report. Pure.

What a report collects has none by design: no Secret is in it. But people put secrets where they do not belong
(a variable of a pod, a query of a URL, a log line), so what looks like one is masked: a mask too many costs a
question, one too few a key.

Clients write into logs, so each expression reads a text about once: it starts at the first character of a run
(a look-behind) and gives nothing back (`++`), or its length is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MASK: Final = "(masked)"
_NAME: Final = r"[a-z0-9_.-]++"
_SIMPLE: Final = re.compile(_NAME, re.IGNORECASE)
_WORD: Final = re.compile(
    r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential"
    r"|cookie|authorization|signature|session[_-]?id|auth",
    re.IGNORECASE,
)
# Names with such a word that hold no secret: references to objects, ages, counts.
_HARMLESS: Final = re.compile(
    r".*(?:secretName|secretRef|tokenExpirationSeconds|expirationSeconds|automountServiceAccountToken"
    r"|serviceAccountToken|authority|author|stickyCookie|tokenFile|imagePullSecrets|TokenRequest)$|secret$|secrets$",
    re.IGNORECASE,
)
_PATTERNS: Final = (
    # PEM: keys, and certificates that name people
    re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)", re.DOTALL),
    # JSON Web Tokens
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,1024}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)?"),
    # keys of clouds and services that have a known start
    re.compile(r"\b(?:AKIA|ASIA|LTAI)[A-Za-z0-9]{12,}\b"),
    re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk_live_|sk-|AIza)[A-Za-z0-9_-]{16,}"),
    # long random texts: digits and both cases, or hexadecimal digits alone
    re.compile(
        r"(?<![A-Za-z0-9+/_-])(?=[A-Za-z+/_-]*[0-9])(?=[a-z0-9+/_-]*[A-Z])(?=[A-Z0-9+/_-]*[a-z])"
        r"[A-Za-z0-9+/_-]{32,}={0,2}"
    ),
    re.compile(r"\b[0-9a-fA-F]{32,}\b"),
)
_SCHEME: Final = re.compile(r"\b(bearer|basic|digest|token)(\s+)[A-Za-z0-9+/=._~-]{6,}", re.IGNORECASE)
# name=value and name: value, in queries, in logs and in JSON inside of texts, which may be escaped
_NAMED: Final = re.compile(rf"""(?<![a-z0-9_.-])({_NAME})\\*["']?\s*+[=:]\s*+""", re.IGNORECASE)
_VALUE: Final = re.compile(
    r"""(\\+["'])[^"'\\]++|(")(?:[^"\\]|\\.)++|(')(?:[^'\\]|\\.)++|[^\s"'&;,}]++""", re.DOTALL
)
# headers whose values have spaces and semicolons
_HEADER: Final = re.compile(
    r"""(?<![a-z0-9_.-])((?:set-)?cookie|(?:proxy-)?authorization)(\s*+:\s*+)[^\r\n"']++""", re.IGNORECASE
)
_USER: Final = re.compile(r"(?<![a-z0-9+.-])([a-z0-9+.-]++://)[^/\s@:]++:[^/\s@]++@", re.IGNORECASE)
_DIGEST: Final = re.compile(r"\bsha256:[0-9a-f]{64}\b")
# Annotations that repeat a whole object, of kinds that may have secrets
_REPEATED: Final = ("kubectl.kubernetes.io/last-applied-configuration",)


def text(value: str) -> str:
    """Return a text without what looks like a secret; digests of images stay."""
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    value = _DIGEST.sub(keep, value.replace("\0", "?"))
    value = _SCHEME.sub(rf"\1\2{MASK}", value)
    value = _USER.sub(rf"\1{MASK}@", value)
    value = _HEADER.sub(rf"\1\2{MASK}", value)
    value = _without_pairs(value)
    for pattern in _PATTERNS:
        value = pattern.sub(MASK, value)
    return re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], value)


def document(value: Any) -> Any:
    """Return an object of the API, or the fields of a log line, without what looks like a secret."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, Sequence):
        return [document(one) for one in value]
    return value


def _without_pairs(value: str) -> str:
    """Mask the values of names that a secret may have."""
    parts: list[str] = []
    end = 0
    for match in _NAMED.finditer(value):
        if match.end() < end or not _is_secret(match[1]):
            continue
        found = _VALUE.match(value, match.end())
        if found is not None:
            quote = found[found.lastindex] if found.lastindex else ""
            parts += [value[end : found.start()], quote, MASK]
            end = found.end()
    return "".join(parts) + value[end:]


def _mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    if value.get("kind") == "Secret":
        return {
            "kind": "Secret",
            "metadata": {"name": (value.get("metadata") or {}).get("name")},
            "data": MASK,
        }
    named = str(value.get("name") or "")
    cleaned: dict[str, Any] = {}
    for key, inner in value.items():
        name = str(key)
        if name in _REPEATED or name == "managedFields":
            continue
        secret = _is_secret(name) or (name == "value" and _is_secret(named))
        cleaned[name] = MASK if secret and isinstance(inner, str) and inner else document(inner)
    return cleaned


def _is_secret(name: str) -> bool:
    return bool(_SIMPLE.fullmatch(name) and _WORD.search(name)) and not _HARMLESS.match(name)
