"""The relay's exceptions.

RelayError
├── SettingsError        the command line or environment is wrong
├── ConfigRefusedError   a configuration that may not come into force
├── CannotListenError    an address to listen on is not available
├── SpoolUnavailableError  the spool folder cannot be used
├── GeoFileError         a geo database has another form, or is damaged
├── PostFailedError      a report got no HTTP answer
├── HandshakeRefusedError  an HTTP answer to the client instead of a tunnel
│   └── OriginsFailedError  no origin could be used
├── OriginError          one attempt at one origin
│   ├── BadAnswerError   the origin's answer is malformed
│   └── NoDescriptorError  this process has no descriptor left: not the origin's fault
├── ProxyHeaderError     a load balancer's connection without a valid PROXY header
├── TokenUnreadableError  the admin token exists and cannot be used
├── WorkerSilentError    a worker process did not answer
├── PeerGoneError        a client disconnected before its answer
└── AnswerCutError       an answer has begun and cannot be finished
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

# Up to the last @ of an authority, and of what stands for one in a wrong URL.
_USERINFO: Final = re.compile(r"(?<=://)[^/?#]*@")


class RelayError(Exception):
    """Base of every error that the relay itself raises."""


class SettingsError(RelayError):
    """The command line or environment is wrong; each of `problems` names the setting and the rule."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "; ".join(self.problems)


class ConfigRefusedError(RelayError):
    """A configuration that may not come into force.

    `file` is the file that was asked for, each of `problems` is "field.path: rule", `generation` is what the
    refused configuration calls itself, when it got as far as saying so, `files` are those that it names.
    `transient`: it was refused for want of a resource, and may be taken without any file being changed.
    """

    def __init__(
        self,
        file: Path,
        problems: Sequence[str],
        *,
        generation: str | None = None,
        files: Sequence[Path] = (),
        transient: bool = False,
    ) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = tuple(problems)
        self.generation = generation
        self.files = tuple(files)
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.file}: {'; '.join(self.problems)}"


class CannotListenError(RelayError):
    """An address to listen on is not available, for the system's reason."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot listen: {self.reason}"


class SpoolUnavailableError(RelayError):
    """The spool folder cannot be used: it cannot be created, or another relay uses it."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(folder, reason)
        self.folder = folder
        self.reason = reason

    def __str__(self) -> str:
        return f"spool folder {self.folder}: {self.reason}"


class GeoFileError(RelayError):
    """A geo database, or a record in it, cannot be used; the text gives the reason."""


def without_userinfo(text: str) -> str:
    """Return a text that may be a URL without the user and password that it may have (RFC 3986 3.2.1)."""
    return _USERINFO.sub("", text)


class PostFailedError(RelayError):
    """A POST that got no HTTP answer: name, connection, TLS, time or the answer's form."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


class HandshakeRefusedError(RelayError):
    """The client gets an HTTP status instead of a tunnel.

    `reason` is one word for metrics (bounded), `text` is the body for the client, `headers` are added.
    `retry_after` is the seconds of a Retry-After header (RFC 9110 section 10.2.3).
    """

    def __init__(
        self,
        status: int,
        reason: str,
        text: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(status, reason, text)
        self.status = status
        self.reason = reason
        self.text = text
        later = () if retry_after is None else ((b"Retry-After", b"%d" % retry_after),)
        self.headers = (*headers, *later)

    def __str__(self) -> str:
        return f"{self.status} ({self.reason}): {self.text}"


def no_room(retry_after: int) -> HandshakeRefusedError:
    """Return the refusal of a client for which no descriptor is left."""
    text = "This relay has no room for another connection at present."
    return HandshakeRefusedError(503, "descriptors", text, retry_after=retry_after)


class OriginError(RelayError):
    """One origin could not be used.

    `reason` is one of refused, unresolvable, denied, timeout, tls, closed, answer, descriptors. `answered`
    says that the origin began to answer, so that no other may be asked, `connected` that it took the request
    and is there.
    """

    def __init__(self, reason: str, detail: str, *, answered: bool = False, connected: bool = False) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.answered = answered
        self.connected = connected or answered

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class BadAnswerError(OriginError):
    """The origin's answer is malformed HTTP/1.1, or no valid answer to an upgrade."""

    def __init__(self, detail: str) -> None:
        super().__init__("answer", detail, answered=True)


class NoDescriptorError(OriginError):
    """No socket could be created, because descriptors ran out; the origin was not contacted."""

    def __init__(self, detail: str) -> None:
        super().__init__("descriptors", detail)


class OriginsFailedError(HandshakeRefusedError):
    """No origin could be used, for these failures: 504 when all ran out of time, else 502."""

    def __init__(self, failures: Iterable[OriginError]) -> None:
        reasons = sorted({failure.reason for failure in failures})
        late = reasons == ["timeout"]
        said = ", ".join(_SAID[reason] for reason in reasons) or "no origin takes connections"
        super().__init__(504 if late else 502, "origin", f"The origin cannot be used: {said}.")


class ProxyHeaderError(RelayError):
    """A connection that must begin with a PROXY header does not; the text gives the reason."""


class TokenUnreadableError(RelayError):
    """The file of the admin token exists and cannot be used; the text gives the reason."""


class WorkerSilentError(RelayError):
    """A worker process did not answer an order in time, or has ended."""

    def __init__(self, reason: str, *, has_ended: bool = False) -> None:
        super().__init__(reason)
        self.has_ended = has_ended


class PeerGoneError(RelayError):
    """The client closed its connection, or the connection broke, before the answer."""


class AnswerCutError(RelayError):
    """An answer that has begun cannot be finished.

    `reason` is one of client (it disconnected), stalled (it accepts no bytes), body (of its request: bad
    or too long), origin (it failed), going away (the relay shuts down, or the domain is disabled).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


_SAID = {
    "refused": "it refused the connection",
    "unresolvable": "its name does not resolve",
    "timeout": "it did not answer in time",
    "tls": "no trusted TLS connection could be made",
    "closed": "it closed the connection without an answer",
    "answer": "it sent an invalid answer",
    "denied": "its address is denied to origins",
}
