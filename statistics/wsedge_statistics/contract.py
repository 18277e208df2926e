"""The messages that the statistics accept: UsageReport from relays, Directory from the operator.

Counts in a report are cumulative within their bucket and source, so a repeated, partial or late report
merges by max() and can neither lose nor double. Bytes are counted on the client's side after TLS, frame
headers and handshake included.

Compatibility: a reader ignores unknown fields (`read` returns their paths), and a writer leaves out an
optional field that has no value, since the first release rejects a message with an unknown field.

Strictness: a value has one form. A number as text, `true` for 1, a time in Unix seconds, a name given twice
in one object are refused: another reader would understand them differently, and a bill follows from them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from ipaddress import IPv6Address
from typing import Annotated, Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

BUCKET_SECONDS: Final = 300
TOKEN_AUDIENCE: Final = "wsedge-statistics"  # noqa: S105  an audience, not a secret
# A header with a reader's token, beside `Authorization: Bearer`, which an API server removes when it proxies
# to a pod (`kubectl wsedge statement`).
TOKEN_HEADER: Final = "Wsedge-Token"  # noqa: S105  a header's name
USAGE_PATH: Final = "/ingest/v1/usage"
DIRECTORY_PATH: Final = "/ingest/v1/directory"
# The Secret of a namespace whose entries are the access keys of the account. The type keeps a Secret for
# another purpose, whose values may be public, from being mistaken for keys.
ACCESS_KEYS_NAME: Final = "wsedge-access-keys"
ACCESS_KEYS_TYPE: Final = "wsedge.io/access-keys"
INACTIVE_KEYS_ANNOTATION: Final = "wsedge.io/inactive-access-keys"
MOST_ACCESS_KEYS: Final = 20

# The largest number that JSON readers agree on (RFC 8259 section 6); no five minutes count more.
MOST_COUNT: Final = 2**53 - 1
# pydantic takes a time as text of digits too, as seconds since 1970.
_DATE: Final = re.compile(r"\d{4}-")


def _time_in_words(value: Any) -> Any:
    """Refuse a number, also one in quotes, as a time."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _DATE.match(value)):
        raise ValueError("give a time as text of RFC 3339, such as 2026-11-22T10:05:00Z")
    return value


def _version_number(value: Any) -> Any:
    """Refuse `true` and 1.0, which are equal to 1."""
    if type(value) is not int:
        raise ValueError("give the version as a whole number")
    return value


def _domain_name(text: str) -> str:
    """Refuse text with a colon that is no IPv6 address."""
    if ":" in text:
        IPv6Address(text)
    return text


def _starts_a_bucket(bucket: datetime) -> datetime:
    """Refuse a time that does not start a whole five minutes of UTC."""
    if bucket.utcoffset() != timedelta(0):
        raise ValueError("the bucket must be in UTC, ending in Z")
    if bucket.timestamp() % BUCKET_SECONDS:
        raise ValueError("the bucket must start on a whole five minutes of UTC")
    return bucket


def _known_bucket(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Return the bucket that a text was found to be: the rows of a report have one or two of them.

    They share the object then, and with it the hash that it keeps.
    """
    if type(value) is not str:
        return validate(value)
    bucket = _BUCKETS.get(value)
    if bucket is None:
        bucket = validate(value)
        if len(_BUCKETS) == _MOST_BUCKETS:
            _BUCKETS.clear()
        _BUCKETS[value] = bucket
    return bucket


_BUCKETS: Final[dict[str, datetime]] = {}
_MOST_BUCKETS: Final = 1000
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_time_in_words)]
Bucket = Annotated[Instant, AfterValidator(_starts_a_bucket), WrapValidator(_known_bucket)]
Version = Annotated[Literal[1], BeforeValidator(_version_number)]
Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
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
        pattern=r"^(\*|[0-9a-f:.]*:[0-9a-f:.]*|"
        r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*)$",
    ),
    AfterValidator(_domain_name),
]
Uid = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
MeteringMethod = Literal[
    "Traffic",
    "DailyPeakBandwidth",
    "Month95Bandwidth",
    "MonthAveragePeakBandwidth",
    "Month4thPeakBandwidth",
    "MonthAverage95Bandwidth",
    "Month95NightHalfBandwidth",
]
CodeText = Annotated[str, StringConstraints(pattern=r"^[1-5][0-9][0-9]$")]

# The texts among a row's fields: those of every row (a bucket, a domain, an account), and those of some.
_TEXTS: Final = 3  # a source has as many: pod, uid, epoch
_LABELS: Final = frozenset({"region", "isp", "area"})

_Read = TypeVar("_Read", bound=BaseModel)
# Each fault that pydantic describes needs half a kilobyte.
_MOST_NAMED: Final = 1000


class Message(BaseModel):
    """Base of every message part: immutable, strict, unknown fields are ignored, camelCase on the wire."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Source(Message):
    """The process that counts: `uid` is its pod's, `epoch` is random per process.

    `cluster` is a label that the administrator gave to the installation.
    """

    pod: Annotated[str, StringConstraints(min_length=1, max_length=317)]
    uid: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    epoch: Annotated[str, StringConstraints(min_length=8, max_length=64, pattern=r"^[0-9a-f]+$")]
    cluster: Label | None = None


class UsageRow(Message):
    """Cumulative counts of one source within one five-minute bucket, for one key.

    `connectionSeconds` is the time that connections were open within the bucket, summed over them. Older
    relays do not send it.
    """

    bucket: Bucket
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
    connectionSeconds: Count = 0
    codes: Annotated[dict[CodeText, Count], Field(max_length=64)] = {}


class UsageReport(Message):
    """One report of one source.

    `nextWithinSeconds` is the source's promise of another report, with rows or without; 0 ends it. Older
    relays promise nothing: they send no report while nothing changes.
    """

    version: Version
    source: Source
    nextWithinSeconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    rows: Annotated[tuple[UsageRow, ...], Field(max_length=5000, strict=False)]

    def strings(self) -> int:
        """Return how many strings, names included, the JSON has in which this message was sent."""
        source = self.source
        of_rows = sum(
            len(row.model_fields_set) + len(_LABELS & row.model_fields_set) + len(row.codes)
            for row in self.rows
        )
        of_source = len(source.model_fields_set) + _TEXTS + (source.cluster is not None)
        return len(self.model_fields_set) + of_source + of_rows + _TEXTS * len(self.rows)


class Terms(Message):
    """How an account is metered."""

    billingCycle: Literal["Daily", "Monthly"]
    meteringMethod: MeteringMethod
    timeZone: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Period(Message):
    """Terms in force from `start` until before `end` (null: until further notice)."""

    terms: Terms
    start: Instant
    end: Instant | None = None


class DirectoryAccount(Message):
    """An account (a namespace) with its periods, oldest first.

    `uid` and `since` are the namespace's: a namespace that was deleted and made again is a new account.
    `until` is the time at which the operator noticed its deletion. Older operators send none of the three.
    """

    account: Account
    periods: Annotated[tuple[Period, ...], Field(strict=False)] = ()
    uid: Uid | None = None
    since: Instant | None = None
    until: Instant | None = None


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

    version: Version
    writtenAt: Instant
    accounts: Annotated[tuple[DirectoryAccount, ...], Field(strict=False)] = ()
    domains: Annotated[tuple[DirectoryDomain, ...], Field(strict=False)] = ()


def bucket_of(instant: datetime) -> datetime:
    """Return the start of the five-minute bucket of UTC that `instant` (aware) lies in."""
    seconds = int(instant.timestamp())
    return datetime.fromtimestamp(seconds - seconds % BUCKET_SECONDS, tz=UTC)


def read(model: type[_Read], text: bytes) -> tuple[_Read, tuple[str, ...]]:
    """Return the message in `text`, and the paths of the fields in it that `model` does not have.

    Raises pydantic.ValidationError for every other fault.
    """
    unknown: tuple[str, ...] = ()
    try:
        message = model.model_validate_json(text, extra="forbid")
    except ValidationError as error:
        unknown = unknown_fields(error)
        message = model.model_validate_json(text)
    sure = not unknown and _has_each_name_once(message, text)
    if not sure and (repeated := _repeated_name(text)):
        fault = PydanticCustomError("repeated_name", "given more than once in one object")
        details = InitErrorDetails(type=fault, loc=(repeated,), input=None)
        raise ValidationError.from_exception_data(model.__name__, [details])
    return message, unknown


def _has_each_name_once(message: BaseModel, text: bytes) -> bool:
    """Return true if a report without unknown fields has no name twice; false if that is not sure.

    Without a backslash each quotation mark begins or ends a string. A name that is given twice is a string
    that the message does not have. To read the text again takes as long as to validate it.
    """
    return (
        isinstance(message, UsageReport) and b"\\" not in text and text.count(b'"') == 2 * message.strings()
    )


def _repeated_name(text: bytes) -> str | None:
    """Return a name that an object of a valid JSON text has twice: readers differ in which value they take.

    pydantic takes the last. The objects are dropped as they are read, and no number is computed.
    """
    repeated: list[str] = []

    def check(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) != len(pairs):
            (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
            repeated.append(name)

    json.loads(text, object_pairs_hook=check, parse_int=str, parse_float=str)
    return repeated[0] if repeated else None


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
