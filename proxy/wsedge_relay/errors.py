"""The relay's exceptions.

RelayError
├── SettingsError        the command line or environment is wrong
├── ConfigRefusedError   a configuration is not valid
├── CannotListenError    an address to listen on is not available
├── SpoolUnavailableError  the spool folder cannot be used
├── GeoFileError         a geo database has an unknown form, or is damaged
├── PostFailedError      a report got no HTTP answer
├── HandshakeRefusedError  the client gets an HTTP answer instead of a tunnel
│   └── OriginsFailedError  no origin could be used
├── OriginError          one attempt at one origin failed
│   ├── BadAnswerError   the origin's answer is malformed
│   └── NoDescriptorError  this process has no descriptor left, which is no fault of the origin
├── ProxyHeaderError     a load balancer's connection has no valid PROXY header
├── TokenUnreadableError  the file of the admin token cannot be used
├── WorkerSilentError    a worker process did not answer
├── PeerGoneError        a client disconnected before its answer
└── AnswerCutError       an answer to the client began and cannot be completed
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

# Up to the last @ of an authority. A URL that is not valid may have several @ there.
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
    """A configuration is not valid, or a file that it names cannot be used.

    `file` is the configuration file; each of `problems` is "field.path: rule". `generation` is the field of
    that name in the refused configuration, None when it could not be parsed; `files` are the files that the
    configuration names. `transient` says that a resource of the system was missing, so that the same files
    may be accepted later.
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
    """An address to listen on is not available; `reason` is the system's error."""

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
    """Return `text` without the userinfo of a URL in it (RFC 3986 section 3.2.1)."""
    return _USERINFO.sub("", text)


class PostFailedError(RelayError):
    """A POST got no valid HTTP answer: its name, connection, TLS, deadline or answer's form failed."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


class HandshakeRefusedError(RelayError):
    """The client gets an HTTP status instead of a tunnel.

    `reason` is a label of metrics, one of a bounded set of words. `text` is the answer's body, a sentence for
    people; `headers` are added to the answer. `retry_after` is the seconds of a Retry-After header (RFC 9110
    section 10.2.3).
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
    """Return the refusal of a client when no descriptor is left for its connection."""
    text = "This relay has no room for another connection at present. Try again later."
    return HandshakeRefusedError(503, "descriptors", text, retry_after=retry_after)


class OriginError(RelayError):
    """One origin could not be used.

    `reason` is one of refused, unresolvable, denied, timeout, tls, closed, answer, descriptors. `connected`
    says that the origin accepted the connection and may have read the request; `answered` that it began to
    answer, so that no other origin gets the request.
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
    """The origin's answer is not valid HTTP/1.1, or not a valid answer to an upgrade."""

    def __init__(self, detail: str) -> None:
        super().__init__("answer", detail, answered=True)


class NoDescriptorError(OriginError):
    """No socket could be created, because descriptors ran out; the origin was not contacted."""

    def __init__(self, detail: str) -> None:
        super().__init__("descriptors", detail)


class OriginsFailedError(HandshakeRefusedError):
    """No origin could be used: 504 when each of `failures` is a timeout, else 502."""

    def __init__(self, failures: Iterable[OriginError]) -> None:
        reasons = sorted({failure.reason for failure in failures})
        late = reasons == ["timeout"]
        causes = ", ".join(_CAUSES[reason] for reason in reasons) or "every origin has the weight 0"
        super().__init__(504 if late else 502, "origin", f"The origin cannot be used: {causes}.")


class ProxyHeaderError(RelayError):
    """A connection does not begin with the PROXY header that it must have; the text gives the reason."""


class TokenUnreadableError(RelayError):
    """The file of the admin token exists and cannot be used; the text gives the reason."""


class WorkerSilentError(RelayError):
    """A worker process did not answer an order in time, or has ended."""

    def __init__(self, reason: str, *, has_ended: bool = False) -> None:
        super().__init__(reason)
        self.has_ended = has_ended


class PeerGoneError(RelayError):
    """The client closed its connection, or the connection broke, before the answer ended."""


class AnswerCutError(RelayError):
    """An answer that has begun cannot be finished.

    `reason` is one of client (the client disconnected), stalled (the client accepts no bytes), body (the
    request's body is malformed or too long), origin (the origin failed), bounds (an origin's answer to an
    upgrade, other than 101, is too long or too slow), going away (the relay shuts down, or the domain is
    disabled).
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


_CAUSES = {
    "refused": "it refused the connection",
    "unresolvable": "its name does not resolve",
    "timeout": "it did not answer in time",
    "tls": "no trusted TLS connection could be made",
    "closed": "it closed the connection without an answer",
    "answer": "it sent an invalid answer",
    "denied": "its address is denied to origins",
}
