"""Nonces that were used, and calls per second, by account. Pure: `now` is a parameter.

A nonce is remembered while a request that repeats it could still have a valid timestamp. The memory is
bounded per account: a full one refuses further calls, since a nonce that is forgotten could be used again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.dcdn import faults

# How far a timestamp may be from the clock; the original's bound.
TOLERANCE: Final = timedelta(minutes=15)
# 22 calls per second over all of the time; each costs about 170 bytes.
MOST_NONCES: Final = 20_000
MOST_RATES: Final = 10_000


@dataclass(slots=True)
class _Used:
    """The nonces of an account, with the end of each."""

    last: datetime
    ends: OrderedDict[bytes, datetime] = field(default_factory=OrderedDict)


class Nonces:
    """The nonces of valid requests by account, as digests with a key of this process."""

    def __init__(self, *, most: int = MOST_NONCES) -> None:
        self._most = most
        self._salt = secrets.token_bytes(16)
        self._used: OrderedDict[str, _Used] = OrderedDict()

    def use(self, account: str, nonce: str, timestamp: datetime, now: datetime) -> None:
        """Remember a nonce of an account. Raises RpcError: it was used, or there are too many."""
        self._forget(now)
        used = self._used.setdefault(account, _Used(now))
        self._used.move_to_end(account)
        used.last = now
        while used.ends and next(iter(used.ends.values())) < now:
            used.ends.popitem(last=False)
        text = nonce.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=12, key=self._salt).digest()
        if digest in used.ends and used.ends[digest] >= now:
            raise faults.used_nonce()
        if len(used.ends) >= self._most:
            raise faults.throttled((next(iter(used.ends.values())) - now).total_seconds())
        # The end of a timestamp that is ahead of the clock is later: one that waits for it at the front keeps
        # others of its account longer than they must be.
        used.ends[digest] = max(timestamp, now) + TOLERANCE
        used.ends.move_to_end(digest)

    def __len__(self) -> int:
        """Return the number of remembered nonces."""
        return sum(len(used.ends) for used in self._used.values())

    def _forget(self, now: datetime) -> None:
        """Drop the accounts whose last call is so long ago that all nonces have ended."""
        while self._used:
            account, used = next(iter(self._used.items()))
            if used.last + 2 * TOLERANCE >= now:
                return
            del self._used[account]


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: datetime


@dataclass(slots=True)
class Rates:
    """Calls per second of each account and operation, as token buckets that hold one second's calls."""

    most: int = MOST_RATES
    _buckets: OrderedDict[tuple[str, str], _Bucket] = field(default_factory=OrderedDict)

    def check(self, account: str, action: str, per_second: int, now: datetime) -> None:
        """Count a call. Raises RpcError with the time until the next when there are too many."""
        bucket = self._buckets.setdefault((account, action), _Bucket(per_second, now))
        self._buckets.move_to_end((account, action))
        # A clock that is set back adds nothing, and does not stop the bucket for the length of the step.
        passed = max(0.0, (now - bucket.at).total_seconds())
        bucket.tokens = min(per_second, bucket.tokens + passed * per_second)
        bucket.at = now
        if len(self._buckets) > self.most:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            raise faults.throttled((1 - bucket.tokens) / per_second)
        bucket.tokens -= 1
