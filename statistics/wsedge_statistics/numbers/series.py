"""What the ledger sums: keys, selections, and the sums that answers are made of. Pure.

A five-minute value is a sum over a selection within one bucket. Counts of a slot add its five-minute values;
a peak is the largest of them. So a peak is always taken after the sum over domains, regions and relays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from wsedge_statistics.contract import BUCKET_SECONDS

BUCKET: Final = BUCKET_SECONDS
HOUR: Final = 3600
DAY: Final = 86400


class Dimension(StrEnum):
    """A part of a key, by which sums are grouped."""

    ACCOUNT = "account"
    DOMAIN = "domain"
    REGION = "region"
    ISP = "isp"
    AREA = "area"


class Key(NamedTuple):
    """The subject of counts. `account` is a key of `tenure.Epoch`, not a display name."""

    domain: str
    account: str
    region: str
    isp: str
    area: str

    def part(self, dimension: Dimension) -> str:
        """Return the value of a dimension."""
        return str(getattr(self, dimension.value))


@dataclass(frozen=True, slots=True)
class Selection:
    """The counts that a read sums; None means all. Half-open in time, UTC seconds on bucket starts."""

    start: int
    end: int
    account: str | None = None
    domains: frozenset[str] | None = None
    region: str | None = None
    isp: str | None = None
    area: str | None = None

    def includes(self, key: Key) -> bool:
        """Return whether the counts of `key` are part of this selection."""
        if self.domains is not None and key.domain not in self.domains:
            return False
        return all(
            wanted in (None, found)
            for wanted, found in (
                (self.account, key.account),
                (self.region, key.region),
                (self.isp, key.isp),
                (self.area, key.area),
            )
        )

    def filtered(self) -> frozenset[Dimension]:
        """Return the dimensions that the selection restricts."""
        named = {
            Dimension.ACCOUNT: self.account,
            Dimension.DOMAIN: self.domains,
            Dimension.REGION: self.region,
            Dimension.ISP: self.isp,
            Dimension.AREA: self.area,
        }
        return frozenset(dimension for dimension, wanted in named.items() if wanted is not None)


class Grain(StrEnum):
    """A level at which five-minute totals over sources are kept; ROWS: none, the sources' own rows."""

    EVERYTHING = "everything"
    ACCOUNT = "account"
    DOMAIN = "domain"
    PLACE = "place"
    ROWS = "rows"


# The dimensions that a total of each grain has, coarsest first. Totals are kept longer than rows.
GRAINS: Final = (
    (Grain.EVERYTHING, frozenset[Dimension]()),
    (Grain.ACCOUNT, frozenset({Dimension.ACCOUNT})),
    (Grain.DOMAIN, frozenset({Dimension.ACCOUNT, Dimension.DOMAIN})),
    (Grain.PLACE, frozenset({Dimension.ACCOUNT, Dimension.REGION, Dimension.ISP, Dimension.AREA})),
)


def grain_of(selection: Selection, group_by: Iterable[Dimension] = ()) -> Grain:
    """Return the coarsest grain that answers; ROWS for a domain together with a region, ISP or area."""
    wanted = selection.filtered() | frozenset(group_by)
    return next((grain for grain, dimensions in GRAINS if wanted <= dimensions), Grain.ROWS)


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over a slot. `peak` is the most connections in any of its buckets, summed over the selection."""

    sent: int = 0
    received: int = 0
    sent_messages: int = 0
    received_messages: int = 0
    opened: int = 0
    connection_seconds: int = 0
    peak: int = 0

    def and_later(self, other: Counts) -> Counts:
        """Return the counts of both slots together."""
        return Counts(
            self.sent + other.sent,
            self.received + other.received,
            self.sent_messages + other.sent_messages,
            self.received_messages + other.received_messages,
            self.opened + other.opened,
            self.connection_seconds + other.connection_seconds,
            max(self.peak, other.peak),
        )


@dataclass(frozen=True, slots=True)
class SlotSums:
    """The sums of one group in one slot, which has rows. `group` has a value for each dimension asked for.

    The peaks of bytes are five-minute values after the sum over the group; of equal peaks the earliest bucket
    (its start in UTC seconds) is named.
    """

    group: tuple[str, ...]
    slot: int
    counts: Counts
    sent_peak: int
    sent_peak_bucket: int
    received_peak: int
    received_peak_bucket: int

    def and_later(self, later: SlotSums) -> SlotSums:
        """Return the sums of both slots of one group together; `later` begins after this one."""
        sent = max((self, later), key=lambda part: part.sent_peak)  # of equals max() returns the first
        received = max((self, later), key=lambda part: part.received_peak)
        return SlotSums(
            self.group,
            self.slot,
            self.counts.and_later(later.counts),
            sent.sent_peak,
            sent.sent_peak_bucket,
            received.received_peak,
            received.received_peak_bucket,
        )


@dataclass(frozen=True, slots=True)
class CodeSum:
    """The number of handshakes of one group in one slot that were answered with `code`."""

    group: tuple[str, ...]
    slot: int
    code: int
    count: int


class Value(NamedTuple):
    """A five-minute value: bytes of one group in the bucket that starts at `bucket` (UTC seconds)."""

    group: tuple[str, ...]
    bucket: int
    sent: int
    received: int


def totals(sums: Iterable[SlotSums]) -> list[SlotSums]:
    """Return the sums of each group over all its slots, as of one slot 0. `sums` are ordered by group, slot.

    The same as a read with one slot over the whole range, from one state of the ledger.
    """
    folded: dict[tuple[str, ...], SlotSums] = {}
    for part in sums:
        before = folded.get(part.group)
        folded[part.group] = part if before is None else before.and_later(part)
    return [
        SlotSums(
            each.group,
            0,
            each.counts,
            each.sent_peak,
            each.sent_peak_bucket,
            each.received_peak,
            each.received_peak_bucket,
        )
        for each in folded.values()
    ]
