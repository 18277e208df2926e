"""Documents of the native API. Instants are UTC; bandwidth is bits per second."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.numbers.ranges import instant_text

Instant = Annotated[
    datetime,
    PlainSerializer(instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "example": "2026-11-22T10:05:00Z"}),
]


# With numbers=text an integer is text; JavaScript and spreadsheets would round a large one.
Count = Annotated[
    int, WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^-?[0-9]+$"}]})
]


class ZoneFrom(BaseModel):
    """A time zone, and from when on it cuts days."""

    start: Instant
    timeZone: str


class Warned(BaseModel):
    """A filter under which nothing was ever counted: the zeros are true, and the name may be misspelt."""

    parameter: str
    reason: str


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
    silentRelays: Count | None = Field(
        description="relays of the account that fell silent within the last day without a last report: their "
        "counts are missing, and are added when they report again. Null where several pods share the ledger"
    )
    warnings: list[Warned] | None = Field(
        None, description="filters under which nothing was ever counted; absent without any"
    )
    next: str | None = Field(None, description="cursor of the next page; absent on the last page")


class Edges(BaseModel):
    """Start and end of a slot."""

    start: Instant
    end: Instant


class Counts(BaseModel):
    """Bytes and messages on the client's side, by direction, and connections."""

    sentBytes: Count = Field(description="to clients, with frame headers and handshakes, without TLS and TCP")
    receivedBytes: Count = Field(description="from clients")
    sentMessages: Count
    receivedMessages: Count
    openedConnections: Count
    peakConnections: Count = Field(
        description="the most that were open within any five minutes, summed over relays"
    )
    connectionSeconds: Count = Field(
        description="time that connections were open, summed over them; older relays count none"
    )


class TrafficPoint(Counts, Edges):
    """Counts of one slot."""


class Group(BaseModel):
    """A group: its value of each dimension in groupBy."""

    by: dict[str, str]


class TrafficGroup(Group):
    """Counts of one group."""

    total: Counts
    points: list[TrafficPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class OtherCounts(BaseModel):
    """The sum of the groups that are not among the largest. Their peak is not the sum of their peaks."""

    groups: Count = Field(description="how many they are")
    sentBytes: Count
    receivedBytes: Count
    sentMessages: Count
    receivedMessages: Count
    openedConnections: Count
    connectionSeconds: Count


class TrafficAnswer(Answer):
    """Traffic over time; idle slots have zeros."""

    total: Counts = Field(description="of everything that the filters select, of all pages")
    points: list[TrafficPoint] | None = Field(
        None, description="a point per slot; absent with totals=only or groupBy"
    )
    groups: list[TrafficGroup] | None = Field(None, description="with groupBy; groups that have counts")
    others: OtherCounts | None = Field(None, description="with top")


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


class BandwidthGroup(Group):
    """Bandwidth of one group."""

    total: BandwidthPair
    points: list[BandwidthPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class OtherBandwidth(BaseModel):
    """The averages of the groups that are not among the largest, together."""

    groups: Count = Field(description="how many they are")
    sentAverage: float
    receivedAverage: float


class BandwidthAnswer(Answer):
    """Bandwidth over time; idle slots have zeros."""

    unit: Literal["bit/s"] = "bit/s"
    total: BandwidthPair
    points: list[BandwidthPoint] | None = Field(
        None, description="a point per slot; absent with totals=only or groupBy"
    )
    groups: list[BandwidthGroup] | None = Field(None, description="with groupBy; groups that have counts")
    others: OtherBandwidth | None = Field(None, description="with top")


class CodeShare(BaseModel):
    """The number of handshakes that were answered with an HTTP code."""

    code: Count
    count: Count
    proportion: float = Field(description="percent of the slot's handshakes")


class CodesPoint(Edges):
    """Codes of one slot."""

    codes: list[CodeShare]


class CodesGroup(Group):
    """Codes of one group; with code in groupBy the proportions are still those of all codes."""

    total: list[CodeShare]
    points: list[CodesPoint] | None = Field(None, description="a point per slot; absent with totals=only")


class OtherCodes(BaseModel):
    """The handshakes of the groups that are not among the largest."""

    groups: Count = Field(description="how many they are")
    count: Count


class CodesAnswer(Answer):
    """HTTP codes of handshakes over time; an idle slot has an empty list."""

    total: list[CodeShare]
    points: list[CodesPoint] | None = Field(
        None, description="a point per slot; absent with totals=only or groupBy"
    )
    groups: list[CodesGroup] | None = Field(None, description="with groupBy; groups that have counts")
    others: OtherCodes | None = Field(None, description="with top")


class Domain(BaseModel):
    """A domain with its settings, or a former domain that still has counts."""

    domain: str
    account: str
    configured: bool = Field(description="false: a former domain, which has only counts")
    name: str | None = Field(None, description="name of its WebSocketDomain")
    enabled: bool | None = None
    heartbeatSeconds: Count | None = None
    originProtocol: str | None = None
    lastCounted: Instant | None = Field(None, description="start of the last five minutes with a report")


class DomainsAnswer(BaseModel):
    """The domains whose numbers the caller may read."""

    account: str | None
    domains: list[Domain]
    next: str | None = Field(None, description="cursor of the next page; absent on the last page")


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
