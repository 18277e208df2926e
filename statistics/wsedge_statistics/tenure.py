"""The lives of accounts, and the domains that each of them holds or held. Pure.

A namespace is an account. A namespace that was deleted and made again is another account of the same name.
Reports and tokens carry the name alone, so the counts of each life (an `Epoch`) are stored under a key of its
own: the name for the first life, `name@` and the beginning of the namespace's uid for later lives. The time
at which a token was issued decides to which life it belongs.

              Directory names uid A        names uid B            namespace gone
    first seen ──────────▶ epoch A ─────────▶ epoch B ──────────────▶ epoch B, `until`
                           key: name          key: name@B

The domains of a life, each with its periods, follow from successive Directories and are stored: a row counts
for the account that held the domain at the time of the bucket, however late it arrives, and an account that
got a domain later cannot count for that time. When a Directory is the first to name a domain, the account got
it at some time after the Directory before, and its relays may have counted since; in the same way the former
account had it until some time before this Directory. So periods of two accounts may overlap by the time
between two Directories.

A life keeps the terms by which its account is billed, since its last period closes after its end, when the
Directory names its successor alone. Those of a former life end with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.contract import Directory, DirectoryAccount, Period

# How long after a domain was deleted or moved its relays may still count for it: the longest drain (an hour),
# the 45 seconds that a pod has after its drain, a bucket, and clocks that differ by ten minutes at most.
LATE: Final = timedelta(minutes=80)
# How long before it got a domain an account may count for it: a bucket, and clocks that differ as above.
EARLY: Final = timedelta(minutes=15)
# Periods of one domain and account. Of more, the two oldest are merged: the time between them becomes theirs.
MOST_PERIODS: Final = 8
# Former domains that are retained per account: each costs about 100 bytes while reports are accepted.
MOST_FORMER: Final = 10_000
UID_LETTERS: Final = 8
# Terms of a life are needed as long after its end as values are kept. Those of the last lives stay longer:
# one Directory of a clock that is a year ahead must not lose a bill.
TERMS_KEPT: Final = timedelta(days=366)
MOST_TERMS: Final = 100


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of an account, from `since` (None: the first count) to `until` (None: the present).

    `terms` are the periods of its plans as the Directory last named them.
    """

    account: str
    key: str
    uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    terms: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """A period in which a life held a domain, from `since` (None: unknown) to `until` (None: the present)."""

    since: datetime | None = None
    until: datetime | None = None

    def covers(self, bucket: datetime) -> bool:
        """Return whether counts of a bucket may be of this period, within EARLY and LATE."""
        begun = self.since is None or bucket >= self.since - EARLY
        return begun and (self.until is None or bucket <= self.until + LATE)


@dataclass(frozen=True, slots=True)
class Tenures:
    """The lives of all accounts, and the domains that they hold or held.

    `epochs` has the lives by the account's name, oldest first. `held` has by (domain, key) the periods in
    which the life held the domain, oldest first. `began` is false until a Directory is stored, and `told` is
    when the last Directory was written.
    """

    began: bool = False
    epochs: Mapping[str, tuple[Epoch, ...]] = field(default_factory=dict)
    held: Mapping[tuple[str, str], tuple[Holding, ...]] = field(default_factory=dict)
    told: datetime | None = None

    def current(self, account: str) -> Epoch:
        """Return the last life of an account; a first life for an account that no Directory has named."""
        return self.epochs.get(account, (Epoch(account, account),))[-1]

    def of_token(self, account: str, issued: datetime | None) -> Epoch | None:
        """Return the life that a token belongs to, None for a life that no Directory has named yet."""
        lives = self.epochs.get(account, (Epoch(account, account),))
        if issued is None:
            return lives[0]
        last = lives[-1]
        if last.until is not None and issued > last.until:
            return None
        begun = [epoch for epoch in lives if epoch.since is None or epoch.since <= issued]
        return begun[-1] if begun else lives[0]

    @staticmethod
    def unnamed_key(account: str) -> str:
        """Return the key of a life that no Directory has named yet; nothing is stored under this key."""
        return f"{account}@"

    def key_named(self, name: str) -> str:
        """Return the key of a life by its display name, or by the key itself."""
        account = name.partition("@")[0]
        found = [
            epoch
            for epoch in self.epochs.get(account, ())
            if name in (self.display_name(epoch.key), epoch.key)
        ]
        # The plain name means the current life, although it is the key of the first.
        return self.current(name).key if name == account else found[0].key if found else name

    def display_name(self, key: str) -> str:
        """Return the name for people: the account's for its current life, `name@uid` for a former life."""
        account = key.partition("@")[0]
        if self.current(account).key == key or key == self.unnamed_key(account):
            return account
        former = next((epoch for epoch in self.epochs.get(account, ()) if epoch.key == key), None)
        if former is None or former.key != account:
            return key
        return f"{account}@{(former.uid or 'former')[:UID_LETTERS]}"

    def former(self, key: str) -> Epoch | None:
        """Return the life of a key, None for the current one and for a key that is not known."""
        lives = self.epochs.get(key.partition("@")[0], ())
        return next((epoch for epoch in lives[:-1] if epoch.key == key), None)

    def holds(self, key: str, domain: str, bucket: datetime) -> bool:
        """Return whether a life held a domain at the time of the bucket, within EARLY and LATE."""
        return any(period.covers(bucket) for period in self.held.get((domain, key), ()))


def follow(tenures: Tenures, directory: Directory, *, kept: timedelta) -> Tenures:
    """Return the tenures after a Directory; drop domains that were given up more than `kept` ago."""
    epochs = dict(tenures.epochs)
    for entry in directory.accounts:
        epochs[entry.account] = _lives(epochs.get(entry.account, ()), entry, directory.writtenAt)
    after = Tenures(True, epochs, told=directory.writtenAt)
    now = {(domain.domain, after.current(domain.account).key) for domain in directory.domains}
    since = None if tenures.told is None else min(tenures.told, directory.writtenAt)
    held = {place: _resumed(tenures.held.get(place, ()), since) for place in now}
    former = {
        place: ended
        for place, periods in tenures.held.items()
        if place not in now and (ended := _ended(periods, directory.writtenAt, kept))
    }
    return replace(after, held={**dict(_bounded(former)), **held})


def _resumed(periods: tuple[Holding, ...], since: datetime | None) -> tuple[Holding, ...]:
    """Return the periods of a domain that a Directory names."""
    if not periods:
        return (Holding(since),)
    last = periods[-1]
    if last.until is None or since is None or since <= last.until:
        return (*periods[:-1], replace(last, until=None))
    if len(periods) == MOST_PERIODS:
        periods = (Holding(periods[0].since, periods[1].until), *periods[2:])
    return (*periods, Holding(since))


def _ended(periods: tuple[Holding, ...], written_at: datetime, kept: timedelta) -> tuple[Holding, ...]:
    """Return the periods, of those that ended at most `kept` ago, of a domain that a Directory lacks."""
    ended = (replace(period, until=period.until or written_at) for period in periods)
    return tuple(period for period in ended if period.until and period.until > written_at - kept)


def _lives(lives: tuple[Epoch, ...], entry: DirectoryAccount, written_at: datetime) -> tuple[Epoch, ...]:
    terms = entry.periods
    if not lives:
        return (Epoch(entry.account, entry.account, entry.uid, None, entry.until, terms),)
    last = lives[-1]
    # The operator names no terms while the account's record cannot be read.
    known = terms or last.terms
    if entry.uid is None or entry.uid == last.uid:  # an older operator sends no uid
        until = entry.until if entry.uid is not None else last.until
        if until is not None and last.until is not None:
            until = min(until, last.until)  # a restarted operator notices the same deletion later
        return (*lives[:-1], replace(last, until=until, terms=known))
    if last.uid is None:  # counted before the operator sent uids
        return (*lives[:-1], replace(last, uid=entry.uid, until=entry.until, terms=known))
    if any(epoch.uid == entry.uid for epoch in lives):
        return lives  # the uid of a former life: a restored operator sends an old Directory
    former = _needed((*lives[:-1], _over(last, entry.since or written_at)), written_at)
    return (*former, Epoch(entry.account, _key(lives, entry.uid), entry.uid, entry.since, entry.until, terms))


def _over(life: Epoch, successor: datetime) -> Epoch:
    """Return a life that has a successor since an instant: both it and its terms have ended."""
    until = successor if life.until is None else min(life.until, successor)
    terms = tuple(
        period.model_copy(update={"end": until if period.end is None else min(period.end, until)})
        for period in life.terms
        if period.start < until and (period.end is None or period.end > until - TERMS_KEPT)
    )
    return replace(life, until=until, terms=terms)


def _needed(former: tuple[Epoch, ...], written_at: datetime) -> tuple[Epoch, ...]:
    """Return former lives without terms that nothing is closed by any more.

    Not by their number alone: who makes a namespace again and again would get rid of a bill.
    """
    older = (
        replace(life, terms=()) if life.until is not None and life.until < written_at - TERMS_KEPT else life
        for life in former[:-MOST_TERMS]
    )
    return (*older, *former[-MOST_TERMS:])


def _key(lives: tuple[Epoch, ...], uid: str) -> str:
    short = f"{lives[0].account}@{uid[:UID_LETTERS]}"
    return f"{lives[0].account}@{uid}" if short in {epoch.key for epoch in lives} else short


def _bounded(
    former: Mapping[tuple[str, str], tuple[Holding, ...]],
) -> Iterator[tuple[tuple[str, str], tuple[Holding, ...]]]:
    """Yield the MOST_FORMER domains that each account gave up last: a domain costs an account nothing."""
    count: dict[str, int] = {}
    for place, periods in sorted(former.items(), key=_given_up, reverse=True):
        key = place[1]
        count[key] = count.get(key, 0) + 1
        if count[key] <= MOST_FORMER:
            yield place, periods


def _given_up(entry: tuple[tuple[str, str], tuple[Holding, ...]]) -> float:
    _, periods = entry
    until = periods[-1].until
    return until.timestamp() if until is not None else 0.0
