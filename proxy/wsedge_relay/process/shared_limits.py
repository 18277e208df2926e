"""Limits of a pod that its worker processes enforce together, in shared memory.

The memory is an anonymous file (memfd) that the supervisor creates and the workers inherit. Each worker
counts in its own column, which no other process writes while the worker runs; the sum of the columns is the
pod's count. When a worker was killed, the supervisor clears its column and so frees its places. A worker
locks the table from the check of a limit until its own count is written, so limits are exact; the kernel
releases the lock of a process that dies. To free a place needs no lock.

A domain owns its row for ever. A client owns a row while it has connections: a row whose columns are all zero
is free, so there is no removal that a crash could leave half done.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from hashlib import blake2b
from itertools import chain
from typing import Final

import structlog

from wsedge_relay.contract import Limits
from wsedge_relay.policy.limits import Limiter, refilled

log = structlog.get_logger("wsedge_relay")

DOMAINS: Final = 4096
CLIENTS: Final = 1 << 16
_KEY: Final = 16  # bytes of a digest
_EMPTY_KEY: Final = bytes(_KEY)
_PACE: Final = struct.Struct("=dd")  # tokens, and the time at which they were counted (0: never)
_COUNT: Final = 4
# A client's digest chooses two groups of rows; its row is in one of these, so a search has a constant cost.
_GROUP: Final = 8
_GROUPS: Final = CLIENTS // _GROUP
_PACES_AT: Final = DOMAINS * _KEY
_CLIENTS_AT: Final = _PACES_AT + DOMAINS * _PACE.size
_COLUMNS_AT: Final = _CLIENTS_AT + CLIENTS * _KEY
_COLUMN: Final = (DOMAINS + CLIENTS) * _COUNT


def make_table(workers: int) -> int:
    """Create the shared memory for `workers` columns; return its descriptor. Raises OSError."""
    file = os.memfd_create("wsedge-limits")
    os.ftruncate(file, _COLUMNS_AT + workers * _COLUMN)
    return file


class LimitTable:
    """The counts of a pod. `own` is the column of this worker (from 0), None in the supervisor.

    `with table:` locks the table against the other processes.
    """

    def __init__(self, file: int, *, own: int | None = None) -> None:
        self._file = file
        self._memory = mmap.mmap(file, 0)
        view = memoryview(self._memory)
        starts = range(_COLUMNS_AT, len(self._memory), _COLUMN)
        self._columns = [view[start : start + _COLUMN].cast("I") for start in starts]
        self._own = self._columns[own] if own is not None else None

    def __enter__(self) -> None:
        # A record lock, which belongs to a process. flock() belongs to the open file, which all workers
        # inherited.
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def clear(self, worker: int) -> None:
        """Free all places of a worker that has ended."""
        with self:
            self._columns[worker][:] = memoryview(bytes(_COLUMN)).cast("I")

    def total(self, row: int) -> int:
        """Return the sum of a row over all workers."""
        return sum([column[row] for column in self._columns])

    def add(self, row: int, number: int) -> None:
        """Add to a row in this worker's own column."""
        if self._own is None:
            raise ValueError("the supervisor has no column")
        self._own[row] += number

    def domain(self, name: str) -> int | None:
        """Return the row of a domain, None when all rows are in use; needs the lock."""
        digest = _digest(name)
        first = int.from_bytes(digest[:4], "big") % DOMAINS
        for row in chain(range(first, DOMAINS), range(first)):
            key = self._memory[row * _KEY : (row + 1) * _KEY]
            if key == _EMPTY_KEY:
                self._memory[row * _KEY : (row + 1) * _KEY] = digest
                return row
            if key == digest:
                return row
        return None

    def client(self, domain: int, key: str) -> int | None:
        """Return the row of a client of a domain, or a free row for it; needs the lock.

        None: both groups of the client are full. A free row stays free until a count is added to it.
        """
        digest = _digest(f"{domain}/{key}")
        groups = [int.from_bytes(digest[at : at + 4], "big") % _GROUPS for at in (0, 4)]
        for group in groups:
            start = _CLIENTS_AT + group * _GROUP * _KEY
            keys = self._memory[start : start + _GROUP * _KEY]
            for place in range(_GROUP):
                if keys[place * _KEY : (place + 1) * _KEY] == digest:
                    return DOMAINS + group * _GROUP + place
        free = max((self._free(group) for group in groups), key=len)
        if not free:
            return None
        start = _CLIENTS_AT + (free[0] - DOMAINS) * _KEY
        self._memory[start : start + _KEY] = digest
        return free[0]

    def spend(self, domain: int, rate: int, now: float) -> bool:
        """Take a token from a domain's bucket; return False when it is empty. Needs the lock.

        `now` is the system-wide monotonic time, so that all workers use one clock.
        """
        at = _PACES_AT + domain * _PACE.size
        tokens, filled = _PACE.unpack_from(self._memory, at)
        now = max(now, filled)  # another worker may have read the clock later and locked earlier
        tokens = refilled(tokens if filled else -1.0, rate, now - filled)
        _PACE.pack_into(self._memory, at, tokens - 1 if tokens >= 1 else tokens, now)
        return bool(tokens >= 1)

    def close(self) -> None:
        """Unmap the memory."""
        for column in self._columns:
            column.release()
        self._memory.close()

    def _free(self, group: int) -> list[int]:
        first = DOMAINS + group * _GROUP
        return [row for row in range(first, first + _GROUP) if not self.total(row)]


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_KEY).digest()


class PodLimiter(Limiter):
    """The limiter of a domain, which counts together with the limiters of the other workers.

    Clients are in the table only while `connectionsPerClient` is set, because they may be many. A client for
    which the table has no free row is counted by each worker alone.
    """

    __slots__ = ("_domain", "_rows", "_shares_clients", "_table", "_warned")

    def __init__(self, table: LimitTable, domain: int) -> None:
        super().__init__()
        self._table = table
        self._domain = domain
        self._rows: dict[str, int] = {}  # of clients that have places in this process
        self._shares_clients = False
        self._warned = False

    def apply(self, limits: Limits) -> None:
        """Apply these limits from now on."""
        shares, self._shares_clients = self._shares_clients, limits.connectionsPerClient is not None
        if self._shares_clients and not shares:
            with self._table:
                for key, places in self._by_client.items():
                    if key not in self._rows:
                        self._count(key, places)

    def enter(self, limits: Limits, client: str, now: float, *, retry_after: int) -> None:
        """Take a place for `client`, as the limiter of one process does."""
        if limits.connections or limits.connectionsPerClient or limits.handshakesPerSecond:
            with self._table:
                super().enter(limits, client, now, retry_after=retry_after)
        else:
            super().enter(limits, client, now, retry_after=retry_after)

    def _in_all(self) -> int:
        return self._table.total(self._domain)

    def _of(self, key: str) -> int:
        row = self._rows.get(key)
        if row is None:
            row = self._table.client(self._domain, key)
            own = super()._of(key)  # all of the count, for a client without a row
            return own if row is None else own + self._table.total(row)
        return self._table.total(row)

    def _spend(self, rate: int, now: float) -> bool:
        return self._table.spend(self._domain, rate, now)

    def _add(self, key: str) -> None:
        super()._add(key)
        self._table.add(self._domain, 1)
        if key in self._rows:
            self._table.add(self._rows[key], 1)
        elif self._shares_clients and self._by_client[key] == 1:
            self._count(key, 1)

    def _count(self, key: str, places: int) -> None:
        row = self._table.client(self._domain, key)
        if row is not None:
            self._rows[key] = row
            self._table.add(row, places)
        elif not self._warned:
            self._warned = True
            log.warning("limits per client not shared", reason="the table of clients is full")

    def leave(self, client: str) -> str:
        """Free a place that `enter` took for the same address; return the client's key."""
        key = super().leave(client)
        self._table.add(self._domain, -1)
        row = self._rows.get(key)
        if row is not None:
            self._table.add(row, -1)
            if key not in self._by_client:
                del self._rows[key]
        return key


class PodLimits:
    """Create the limiters of one worker."""

    def __init__(self, table: LimitTable) -> None:
        self._table = table

    def limiter(self, domain: str) -> Limiter:
        """Return a limiter for a domain; it counts this worker alone when the table is full."""
        with self._table:
            row = self._table.domain(domain)
        if row is not None:
            return PodLimiter(self._table, row)
        log.warning("limits of domain not shared", domain=domain, reason="the table of domains is full")
        return Limiter()
