"""What the native API takes and answers. Instants are UTC; bytes are bytes; bandwidth is bits per second."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from wsedge_statistics.contract import DomainName, Label
from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.numbers.ranges import instant_text

Instant = Annotated[
    datetime,
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "example": "2026-11-22T10:05:00Z"}),
]


# An account, or, by the beginning of its namespace's uid, one of that name that was deleted.
AccountName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=128, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(@[A-Za-z0-9-]+)?$"
    ),
]


class AccountQuery(BaseModel):
    """Whose numbers."""

    model_config = ConfigDict(extra="forbid")

    account: AccountName | None = Field(
        None,
        description="an account (namespace); default: the token's own, for an administrator all of them. "
        "An administrator names one whose namespace was deleted and made again NAME@UID, as /v1/domains does",
    )


class RangeQuery(AccountQuery):
    """Which numbers, of what time, in which slots."""

    start: str | None = Field(
        None,
        description="first instant, RFC 3339; rounded down to a slot. "
        "Give both start and end, or neither: the last 24 hours",
        examples=["2026-11-22T10:00:00Z"],
    )
    end: str | None = Field(
        None, description="instant before which the range ends, RFC 3339; rounded up to a slot"
    )
    granularity: Granularity | None = Field(
        None,
        description="length of a slot. A span of up to 3 days offers 5m and 1h, up to 31 days 1h and 1d, "
        "up to 93 days 1d. Default: the finest one offered",
    )
    domain: list[DomainName] = Field(
        [], max_length=500, description="a domain; give it several times for their sum; default: all domains"
    )
    region: Label | None = Field(None, description="only clients of this region")
    isp: Label | None = Field(None, description="only clients of this ISP")
    timeZone: str | None = Field(
        None,
        max_length=64,
        description="IANA zone whose midnights cut 1d slots; default: the account's billing zone",
    )
    totals: Literal["only"] | None = Field(None, description="only: the answer has no points")


class Answer(BaseModel):
    """What every answer about a range says."""

    account: str | None = Field(description="null: all accounts")
    domains: list[str] | None = Field(description="the domains that were summed; null: all")
    region: str | None
    isp: str | None
    start: Instant = Field(description="first slot's start")
    end: Instant = Field(description="last slot's end")
    granularity: Granularity = Field(description="the one that was used")
    timeZone: str = Field(description="zone whose midnights cut 1d slots")
    completeUntil: Instant = Field(
        description="every five minutes before this instant are over and relays had time to report them"
    )


class Edges(BaseModel):
    """When a slot is."""

    start: Instant
    end: Instant


class Counts(BaseModel):
    """Bytes and messages on the client's side, each direction apart, and connections."""

    sentBytes: int = Field(description="to clients; frame headers and handshakes included, TLS and TCP not")
    receivedBytes: int = Field(description="from clients")
    sentMessages: int
    receivedMessages: int
    openedConnections: int
    peakConnections: int = Field(description="most open in any five minutes, added over relays")


class TrafficPoint(Counts, Edges):
    """Counts of one slot."""


class TrafficAnswer(Answer):
    """Traffic over time; idle slots are there with zeros."""

    total: Counts
    points: list[TrafficPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class Bandwidth(BaseModel):
    """Bits per second (1000-based units)."""

    average: float = Field(description="over the whole slot")
    peak: float = Field(description="highest five-minute value, taken after the sum over domains")
    peakTime: Instant | None = Field(
        description="start of the first five minutes with that value; null when idle"
    )


class BandwidthPair(BaseModel):
    """Both directions, seen from the relay."""

    sent: Bandwidth
    received: Bandwidth


class BandwidthPoint(BandwidthPair, Edges):
    """Bandwidth of one slot."""


class BandwidthAnswer(Answer):
    """Bandwidth over time; idle slots are there with zeros."""

    unit: Literal["bit/s"] = "bit/s"
    total: BandwidthPair
    points: list[BandwidthPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class CodeShare(BaseModel):
    """How often handshakes were answered with an HTTP code."""

    code: int
    count: int
    proportion: float = Field(description="percent of the slot's handshakes")


class CodesPoint(Edges):
    """Codes of one slot."""

    codes: list[CodeShare]


class CodesAnswer(Answer):
    """HTTP codes of handshakes over time; a slot without one has an empty list."""

    total: list[CodeShare]
    points: list[CodesPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class Domain(BaseModel):
    """A domain with the settings in force, or one that was counted and is configured no longer."""

    domain: str
    account: str
    configured: bool = Field(description="false: only its past counts are known")
    name: str | None = Field(None, description="name of its WebSocketDomain")
    enabled: bool | None = None
    heartbeatSeconds: int | None = None
    originProtocol: str | None = None
    lastCounted: Instant | None = Field(None, description="start of the last five minutes with a report")


class DomainsAnswer(BaseModel):
    """The domains whose numbers the caller may read."""

    account: str | None
    domains: list[Domain]


class Offer(BaseModel):
    """One row of the granularity matrix."""

    spanUpToDays: int
    granularities: list[Granularity]


class Reach(BaseModel):
    """How far back a granularity is answered."""

    granularity: Granularity
    days: int


class OptionsAnswer(BaseModel):
    """What can be asked for."""

    account: str | None
    regions: list[str] = Field(description="regions that were counted")
    isps: list[str] = Field(description="ISPs that were counted")
    timeZone: str = Field(description="zone whose midnights cut 1d slots")
    granularities: list[Offer]
    reach: list[Reach]
    completeUntil: Instant
