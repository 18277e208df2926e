"""The lives of accounts, and the domains that each of them holds or held. Pure.

A namespace is an account. A namespace that was deleted and made again is another account of the same name.
Reports and tokens carry the name alone, so the counts of each life (an `Epoch`) are stored under a key of its
own: the name for the first life, `name@` and the beginning of the namespace's uid for later lives. The time
at which a token was issued decides to which life it belongs.

              Directory names uid A        names uid B            namespace gone
    first seen ──────────▶ epoch A ─────────▶ epoch B ──────────────▶ epoch B, `until`
                           key: name          key: name@B

The domains of a life follow from successive Directories and are stored, so that a report that arrives after a
domain was deleted or moved is still counted for the account that held it at the time of the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.contract import Directory, DirectoryAccount

# How long after a domain was deleted or moved its relays may still count for it: the longest drain (an hour),
# the 45 seconds that a pod has after its drain, a bucket, and clocks that differ by ten minutes at most.
LATE: Final = timedelta(minutes=80)
# Former domains that are retained per account: each costs about 100 bytes while reports are accepted.
MOST_FORMER: Final = 10_000
UID_LETTERS: Final = 8


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of an account, from `since` (None: the first count) to `until` (None: the present)."""

    account: str
    key: str
    uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tenures:
    """The lives of all accounts, and the domains that they hold or held.

    `epochs` has the lives by the account's name, oldest first. `held` has by (domain, key) the instant until
    which the life held the domain (None: it holds it now). `began` is false until a Directory is stored.
    """

    began: bool = False
    epochs: Mapping[str, tuple[Epoch, ...]] = field(default_factory=dict)
    held: Mapping[tuple[str, str], datetime | None] = field(default_factory=dict)

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

    def holds(self, key: str, domain: str, bucket: datetime) -> bool:
        """Return whether a life holds a domain now, or held it at most LATE before the bucket."""
        if (domain, key) not in self.held:
            return False
        until = self.held[domain, key]
        return until is None or bucket <= until + LATE


def follow(tenures: Tenures, directory: Directory, *, kept: timedelta) -> Tenures:
    """Return the tenures after a Directory; drop domains that were given up more than `kept` ago."""
    epochs = dict(tenures.epochs)
    for entry in directory.accounts:
        epochs[entry.account] = _lives(epochs.get(entry.account, ()), entry)
    after = Tenures(True, epochs)
    now = {(domain.domain, after.current(domain.account).key) for domain in directory.domains}
    former = {
        place: until or directory.writtenAt
        for place, until in tenures.held.items()
        if place not in now and (until is None or until > directory.writtenAt - kept)
    }
    return replace(after, held={**dict(_bounded(former)), **dict.fromkeys(now)})


def _lives(lives: tuple[Epoch, ...], entry: DirectoryAccount) -> tuple[Epoch, ...]:
    if not lives:
        return (Epoch(entry.account, entry.account, entry.uid, None, entry.until),)
    last = lives[-1]
    if entry.uid is None or entry.uid == last.uid:  # an older operator sends no uid
        until = entry.until if entry.uid is not None else last.until
        if until is not None and last.until is not None:
            until = min(until, last.until)  # a restarted operator notices the same deletion later
        return (*lives[:-1], replace(last, until=until))
    if last.uid is None:  # counted before the operator sent uids
        return (*lives[:-1], replace(last, uid=entry.uid, until=entry.until))
    if any(epoch.uid == entry.uid for epoch in lives):
        return lives  # the uid of a former life: a restored operator sends an old Directory
    return (*lives, Epoch(entry.account, _key(lives, entry.uid), entry.uid, entry.since, entry.until))


def _key(lives: tuple[Epoch, ...], uid: str) -> str:
    short = f"{lives[0].account}@{uid[:UID_LETTERS]}"
    return f"{lives[0].account}@{uid}" if short in {epoch.key for epoch in lives} else short


def _bounded(former: Mapping[tuple[str, str], datetime]) -> Iterator[tuple[tuple[str, str], datetime]]:
    """Yield the MOST_FORMER domains that each account gave up last: a domain costs an account nothing."""
    count: dict[str, int] = {}
    for place, until in sorted(former.items(), key=lambda entry: entry[1], reverse=True):
        key = place[1]
        count[key] = count.get(key, 0) + 1
        if count[key] <= MOST_FORMER:
            yield place, until
