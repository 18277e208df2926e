"""The admin port: its token, the relay's state, open connections, and bounds of orders."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from wsedge_relay.contract.message import Message

# A file in the relay's secrets folder, so also a key of its Secret. Its content authorizes a drain.
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105  a file name

# A header with that token, beside `Authorization: Bearer`, which an API server removes when it proxies to a
# pod (`kubectl wsedge`).
ADMIN_TOKEN_HEADER: Final = "Wsedge-Token"  # noqa: S105  a header's name

# Most connections in a page of `GET /connections`: about 400 KB, which take some milliseconds to write.
MOST_LISTED_CONNECTIONS: Final = 1000

# Bounds of an order to close connections (`POST /shed` on the admin port).
MOST_SHED_CONNECTIONS: Final = 1_000_000
LEAST_SHED_PER_SECOND: Final = 0.001
MOST_SHED_PER_SECOND: Final = 10_000


class RelayState(Message):
    """The answer of `GET /config` on the admin port: the present state of this relay with all its workers."""

    generation: str
    draining: bool
    openConnections: int
    refusedGeneration: str | None = None
    refusedReason: str | None = None


# Bounded, since readers show what a pod answers, and a pod belongs to a tenant.
_ShownCount = Annotated[int, Field(ge=0, lt=2**53)]
_ShownSeconds = Annotated[float, Field(ge=0, lt=2**32)]


class OpenConnection(Message):
    """An open connection, as `GET /connections` on the admin port lists it.

    Bytes and messages are those that `sent_bytes` and the like count. The round-trip times are TCP's, to the
    next machine that ends TCP; None where the kernel has none (HTTP/2).
    """

    id: str
    domain: str
    client: str
    origin: str
    since: str
    http2: bool = False
    closing: bool = False
    sentBytes: _ShownCount
    receivedBytes: _ShownCount
    sentMessages: _ShownCount
    receivedMessages: _ShownCount
    clientRttSeconds: _ShownSeconds | None = None
    originRttSeconds: _ShownSeconds | None = None


class OpenConnections(Message):
    """A page of open connections. `next` is the field `after` of the next request; None: it was the last."""

    connections: tuple[OpenConnection, ...]
    next: str | None = None
