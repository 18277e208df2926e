"""The messages that the statistics accept: UsageReport from relays, Directory from the operator.

Counts in a report are cumulative within their bucket and source, so a repeated, partial or late report
merges by max() and can neither lose nor double. Bytes are counted on the client's side after TLS, frame
headers and handshake included.

Compatibility: a reader ignores unknown fields (`read` returns their paths), and a writer leaves out an
optional field that has no value, since the first release rejects a message with an unknown field.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Annotated, Final, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

BUCKET_SECONDS: Final = 300
TOKEN_AUDIENCE: Final = "wsedge-statistics"  # noqa: S105  an audience, not a secret
USAGE_PATH: Final = "/ingest/v1/usage"
DIRECTORY_PATH: Final = "/ingest/v1/directory"

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
# Words with one space between them: DCDN has an ISP "local area network". No name can contain a character
# that begins a formula, is quoted in CSV or ends a line of log.
Label = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*( [A-Za-z0-9][A-Za-z0-9._-]*)*$"
    ),
]
Account = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]
DomainName = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=253,
        pattern=r"^(\*|[0-9a-f:.]*:[0-9a-f:.]*|[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?)$",
    ),
]
Uid = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
CodeText = Annotated[str, StringConstraints(pattern=r"^[1-5][0-9][0-9]$")]

_Read = TypeVar("_Read", bound=BaseModel)
# Each fault that pydantic describes needs half a kilobyte.
_MOST_NAMED: Final = 1000


class Message(BaseModel):
    """Base of every message part: immutable, unknown fields are ignored, camelCase on the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Source(Message):
    """The process that counts: `uid` is its pod's, `epoch` is random per process."""

    pod: Annotated[str, StringConstraints(min_length=1, max_length=317)]
    uid: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    epoch: Annotated[str, StringConstraints(min_length=8, max_length=64, pattern=r"^[0-9a-f]+$")]


class UsageRow(Message):
    """Cumulative counts of one source within one five-minute bucket, for one key."""

    bucket: AwareDatetime
    domain: DomainName
    account: Account
    region: Label = "unknown"
    isp: Label = "unknown"
    area: Label = "unknown"
    sentBytes: Count = 0
    receivedBytes: Count = 0
    sentMessages: Count = 0
    receivedMessages: Count = 0
    openedConnections: Count = 0
    peakConnections: Count = 0
    codes: Annotated[dict[CodeText, Count], Field(max_length=64)] = {}

    @model_validator(mode="after")
    def starts_on_a_bucket(self) -> Self:
        """Refuse a bucket that does not start on a whole five minutes of UTC."""
        if self.bucket.utcoffset() != timedelta(0):
            raise ValueError("the bucket must be in UTC, ending in Z")
        if self.bucket.timestamp() % BUCKET_SECONDS:
            raise ValueError("the bucket must start on a whole five minutes of UTC")
        return self


class UsageReport(Message):
    """One report of one source."""

    version: Literal[1]
    source: Source
    rows: Annotated[tuple[UsageRow, ...], Field(max_length=5000)]


class Terms(Message):
    """How an account is metered."""

    billingCycle: Literal["Daily", "Monthly"]
    meteringMethod: Literal[
        "Traffic",
        "DailyPeakBandwidth",
        "Month95Bandwidth",
        "MonthAveragePeakBandwidth",
        "Month4thPeakBandwidth",
        "MonthAverage95Bandwidth",
        "Month95NightHalfBandwidth",
    ]
    timeZone: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Period(Message):
    """Terms in force from `start` until before `end` (null: until further notice)."""

    terms: Terms
    start: AwareDatetime
    end: AwareDatetime | None = None


class DirectoryAccount(Message):
    """An account (a namespace) with its periods, oldest first.

    `uid` and `since` are the namespace's: a namespace that was deleted and made again is a new account.
    `until` is the time at which the operator noticed its deletion. Older operators send none of the three.
    """

    account: Account
    periods: tuple[Period, ...] = ()
    uid: Uid | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class DirectoryDomain(Message):
    """A domain, the account that owns it, and the settings that answers about domains show."""

    domain: DomainName
    account: Account
    name: str
    enabled: bool
    heartbeatSeconds: int
    originProtocol: Literal["HTTP", "HTTPS", "Follow"] | None = None


class Directory(Message):
    """A full snapshot of accounts and domains. The snapshot with the latest `writtenAt` is in force."""

    version: Literal[1]
    writtenAt: AwareDatetime
    accounts: tuple[DirectoryAccount, ...] = ()
    domains: tuple[DirectoryDomain, ...] = ()


def bucket_of(instant: datetime) -> datetime:
    """Return the start of the five-minute bucket of UTC that `instant` (aware) lies in."""
    seconds = int(instant.timestamp())
    return datetime.fromtimestamp(seconds - seconds % BUCKET_SECONDS, tz=UTC)


def read(model: type[_Read], text: bytes) -> tuple[_Read, tuple[str, ...]]:
    """Return the message in `text`, and the paths of the fields in it that `model` does not have.

    Raises pydantic.ValidationError for every other fault.
    """
    try:
        return model.model_validate_json(text, extra="forbid"), ()
    except ValidationError as error:
        unknown = unknown_fields(error)
    return model.model_validate_json(text), unknown


def unknown_fields(error: ValidationError) -> tuple[str, ...]:
    """Return the paths of the fields that only a validation with `extra="forbid"` refused."""
    if error.error_count() > _MOST_NAMED:
        return (f"more than {_MOST_NAMED} fields",)
    return tuple(
        ".".join(map(str, fault["loc"]))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
        if fault["type"] == "extra_forbidden"
    )


@cache
def known_zones() -> frozenset[str]:
    """Return the names of the IANA database's time zones and links, as the package tzdata lists them.

    Not `zoneinfo.available_timezones()`, which lists the files in a folder of the host: `localtime` there is
    the zone of that machine. `Factory` is the database's word for "not set yet".
    """
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split()) - {"Factory"}


def zone_named(name: str) -> ZoneInfo | None:
    """Return the time zone that the IANA database calls `name`, or None.

    Operator and statistics cut days by the same data: the package tzdata in the version of the lock.
    `ZoneInfo(name)` would read the host's files first, and a bill must not depend on a base image.
    """
    return _load(name) if name in known_zones() else None


@cache
def _load(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
