"""Ledger, clock, rules and limits that every face of the program shares, put together once at start."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.directory import DirectoryView
from wsedge_statistics.identity.callers import Policy
from wsedge_statistics.identity.reviews import Reviews
from wsedge_statistics.identity.tokens import Verifier
from wsedge_statistics.ledger import Ledger, Room
from wsedge_statistics.ledger.budget import Turns
from wsedge_statistics.metrics import Metrics
from wsedge_statistics.presence import Presence
from wsedge_statistics.price_file import PriceFile
from wsedge_statistics.tenure import Tenures

_MOST_KNOWN: Final = 100
_LONGEST_NAME: Final = 100
_INDEX: Final = re.compile(r"\.\d+(?=\.|$)")


class UnknownFields:
    """The unknown fields that were logged. Their number is bounded, since a sender chooses the names."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def first_seen(self, message: str, paths: Iterable[str]) -> list[str]:
        """Return the paths that are new, without their indices, and remember them."""
        named = {(message, _INDEX.sub("[]", path)[:_LONGEST_NAME]) for path in paths} - self._known
        fresh = sorted(named)[: _MOST_KNOWN - len(self._known)]
        self._known.update(fresh)
        return [path for _, path in fresh]


@dataclass(frozen=True, slots=True)
class Billing:
    """How statements are computed and when they close. `prices` is None without a price book."""

    rules: Rules = field(default_factory=Rules)
    grace: timedelta = timedelta(hours=24)
    prices: PriceFile | None = None


@dataclass(slots=True)
class Services:
    """Ledger, clock and rules. `verifier` is None in laptop mode.

    Each new Directory replaces `directory` and `tenures`; the tenures follow from all Directories so far.
    """

    ledger: Ledger
    clock: Callable[[], datetime]
    metrics: Metrics
    policy: Policy
    verifier: Verifier | None
    directory: DirectoryView
    tenures: Tenures
    room: Room
    default_zone: str
    grace: timedelta
    max_body: int
    max_inflated: int
    billing: Billing = field(default_factory=Billing)
    unknown_fields: UnknownFields = field(default_factory=UnknownFields)
    monotonic: Callable[[], float] = time.monotonic
    # None where several processes share the ledger: each sees a part of the reports, so none can miss a relay
    presence: Presence | None = field(default_factory=Presence)
    draining: bool = False
    reviews: Reviews | None = None  # None: tokens of users are refused
    turns: Turns = field(default_factory=Turns)
