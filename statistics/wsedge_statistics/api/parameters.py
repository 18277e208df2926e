"""Parameters of the native API. A parameter that is not listed here is refused."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from wsedge_statistics.contract import DomainName, Label
from wsedge_statistics.numbers.granularity import Granularity
from wsedge_statistics.numbers.groups import MOST_LIMIT

# An account; `NAME@UID`, with the beginning of the namespace's uid, is a former account of that name.
AccountName = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=128, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(@[A-Za-z0-9-]+)?$"
    ),
]


class Dimension(StrEnum):
    """A dimension of groups."""

    DOMAIN = "domain"
    REGION = "region"
    ISP = "isp"
    ACCOUNT = "account"


class CodesDimension(StrEnum):
    """A dimension of groups of HTTP codes."""

    DOMAIN = "domain"
    REGION = "region"
    ISP = "isp"
    ACCOUNT = "account"
    CODE = "code"


class TrafficMeasure(StrEnum):
    """A measure by which the largest groups are found."""

    SENT_BYTES = "sentBytes"
    RECEIVED_BYTES = "receivedBytes"
    SENT_MESSAGES = "sentMessages"
    RECEIVED_MESSAGES = "receivedMessages"
    OPENED_CONNECTIONS = "openedConnections"
    PEAK_CONNECTIONS = "peakConnections"
    CONNECTION_SECONDS = "connectionSeconds"


class BandwidthMeasure(StrEnum):
    """A measure by which the groups of the largest bandwidth are found."""

    SENT_PEAK = "sentPeak"
    RECEIVED_PEAK = "receivedPeak"
    SENT_AVERAGE = "sentAverage"
    RECEIVED_AVERAGE = "receivedAverage"


class AccountQuery(BaseModel):
    """Parameters that choose an account."""

    model_config = ConfigDict(extra="forbid")

    account: AccountName | None = Field(
        None,
        description="an account (namespace). Default: the token's own account; all accounts for an "
        "administrator. An administrator reads a former account, whose namespace was deleted, as NAME@UID; "
        "/v1/domains lists the names",
    )


class FormQuery(BaseModel):
    """Parameters that choose the form of an answer."""

    format: Literal["json", "csv"] | None = Field(
        None,
        description="csv: a table, a row per group and slot. Default: by the header Accept, else json",
    )
    numbers: Literal["text"] | None = Field(
        None,
        description="text: every integer as text, since JavaScript rounds integers above 2^53; in csv with "
        "an apostrophe before it, since spreadsheets round above 15 digits",
    )


class RangeQuery(AccountQuery, FormQuery):
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


class PageQuery(BaseModel):
    """Parameters of a list that is answered in pages."""

    limit: int | None = Field(None, ge=1, le=MOST_LIMIT, description="most entries of one page")
    cursor: str | None = Field(
        None, max_length=4096, description="the next of the page before; without it the first page"
    )


class GroupQuery(RangeQuery, PageQuery):
    """Parameters that choose groups, and pages of them."""

    groupBy: list[Dimension] = Field(
        [],
        max_length=3,
        description="answer each domain, region or ISP by itself; repeat the parameter for each combination. "
        "Groups come in pages, by name: `next` is the `cursor` of the next page",
    )
    top: int | None = Field(
        None,
        ge=1,
        le=MOST_LIMIT,
        description="answer the largest groups, largest first, and how much the others have together. "
        "Needs groupBy, and has no pages",
    )


class TrafficQuery(GroupQuery):
    """Parameters of /v1/traffic."""

    topBy: TrafficMeasure = Field(
        TrafficMeasure.SENT_BYTES, description="the measure of the largest groups; needs top"
    )


class BandwidthQuery(GroupQuery):
    """Parameters of /v1/bandwidth."""

    topBy: BandwidthMeasure = Field(
        BandwidthMeasure.SENT_PEAK, description="the measure of the largest groups; needs top"
    )


class CodesQuery(RangeQuery, PageQuery):
    """Parameters of /v1/codes."""

    groupBy: list[CodesDimension] = Field(
        [],
        max_length=4,
        description="as of /v1/traffic; with code each HTTP code is a group by itself",
    )
    top: int | None = Field(
        None, ge=1, le=MOST_LIMIT, description="answer the groups with the most handshakes. Needs groupBy"
    )


class DomainsQuery(AccountQuery, PageQuery, FormQuery):
    """Parameters of /v1/domains."""
