"""Parameters and documents of the native API. Instants are UTC; bandwidth is bits per second."""

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


# An account; `NAME@UID`, with the beginning of the namespace's uid, is a former account of that name.
AccountName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=128, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(@[A-Za-z0-9-]+)?$"
    ),
]


class AccountQuery(BaseModel):
    """Parameters that choose an account."""

    model_config = ConfigDict(extra="forbid")

    account: AccountName | None = Field(
        None,
        description="an account (namespace). Default: the token's own account; all accounts for an "
        "administrator. An administrator reads a former account, whose namespace was deleted, as NAME@UID; "
        "/v1/domains lists the names",
    )


class RangeQuery(AccountQuery):
    """Parameters that choose domains, a range, slots and clients."""

    start: str | None = Field(
        None,
        description="start of the range, RFC 3339, rounded down to a slot. "
        "Give both start and end, or neither for the last 24 hours",
        examples=["2026-11-22T10:00:00Z"],
    )
    end: str | None = Field(None, description="end of the range (exclusive), RFC 3339, rounded up to a slot")
    granularity: Granularity | None = Field(
        None,
        description="length of a slot. A span of up to 3 days offers 5m and 1h, up to 31 days 1h and 1d, "
        "up to 93 days 1d. Default: the finest that is offered",
    )
    domain: list[DomainName] = Field(
        [],
        max_length=500,
        description="a domain; repeat the parameter for the sum of several. Default: all domains",
    )
    region: Label | None = Field(None, description="only clients of this region")
    isp: Label | None = Field(None, description="only clients of this ISP")
    timeZone: str | None = Field(
        None,
        max_length=64,
        description="IANA zone whose midnights cut 1d slots; default: the account's billing zone",
    )
    totals: Literal["only"] | None = Field(None, description="only: the answer has totals and no points")


class ZoneFrom(BaseModel):
    """A time zone, and from when on it cuts days."""

    start: Instant
    timeZone: str


class Answer(BaseModel):
    """Fields of every answer about a range."""

    account: str | None = Field(description="null: all accounts")
    domains: list[str] | None = Field(description="the domains that were summed; null: all")
    region: str | None
    isp: str | None
    start: Instant = Field(description="first slot's start")
    end: Instant = Field(description="last slot's end")
    granularity: Granularity = Field(description="the granularity in use")
    timeZone: str = Field(
        description="zone whose midnights cut 1d slots; where it changed in the range, the last one"
    )
    timeZones: list[ZoneFrom] | None = Field(
        None,
        description="the zones of a range in which the account's billing zone changed; absent otherwise",
    )
    completeUntil: Instant = Field(
        description="all five-minute buckets before this instant have ended, and relays had time to report"
    )
    silentRelays: int = Field(
        description="relays of the account that fell silent within the last day without a last report: their "
        "counts are missing, and are added when they report again"
    )


class Edges(BaseModel):
    """Start and end of a slot."""

    start: Instant
    end: Instant


class Counts(BaseModel):
    """Bytes and messages on the client's side, by direction, and connections."""

    sentBytes: int = Field(description="to clients, with frame headers and handshakes, without TLS and TCP")
    receivedBytes: int = Field(description="from clients")
    sentMessages: int
    receivedMessages: int
    openedConnections: int
    peakConnections: int = Field(
        description="the most that were open within any five minutes, summed over relays"
    )
    connectionSeconds: int = Field(
        description="time that connections were open, summed over them; older relays count none"
    )


class TrafficPoint(Counts, Edges):
    """Counts of one slot."""


class TrafficAnswer(Answer):
    """Traffic over time; idle slots have zeros."""

    total: Counts
    points: list[TrafficPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class Bandwidth(BaseModel):
    """Bits per second (1000-based units)."""

    average: float = Field(description="over the whole slot")
    peak: float = Field(description="highest five-minute value, taken after the sum over domains")
    peakTime: Instant | None = Field(
        description="start of the first five minutes with that value; null for an idle slot"
    )


class BandwidthPair(BaseModel):
    """Both directions, as the relay sends and receives."""

    sent: Bandwidth
    received: Bandwidth


class BandwidthPoint(BandwidthPair, Edges):
    """Bandwidth of one slot."""


class BandwidthAnswer(Answer):
    """Bandwidth over time; idle slots have zeros."""

    unit: Literal["bit/s"] = "bit/s"
    total: BandwidthPair
    points: list[BandwidthPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class CodeShare(BaseModel):
    """The number of handshakes that were answered with an HTTP code."""

    code: int
    count: int
    proportion: float = Field(description="percent of the slot's handshakes")


class CodesPoint(Edges):
    """Codes of one slot."""

    codes: list[CodeShare]


class CodesAnswer(Answer):
    """HTTP codes of handshakes over time; an idle slot has an empty list."""

    total: list[CodeShare]
    points: list[CodesPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class Domain(BaseModel):
    """A domain with its settings, or a former domain that still has counts."""

    domain: str
    account: str
    configured: bool = Field(description="false: a former domain, which has only counts")
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
    """How far back a granularity reaches."""

    granularity: Granularity
    days: int


class OptionsAnswer(BaseModel):
    """The values that the parameters of a question may have."""

    account: str | None
    regions: list[str] = Field(description="regions that were counted")
    isps: list[str] = Field(description="ISPs that were counted")
    timeZone: str = Field(description="zone whose midnights cut 1d slots")
    granularities: list[Offer]
    reach: list[Reach]
    completeUntil: Instant
