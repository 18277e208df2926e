"""The writer's thread over a store in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wsedge_statistics.errors import LedgerBusyError, LedgerDamagedError, LedgerUnwritableError
from wsedge_statistics.ledger import writer as module
from wsedge_statistics.ledger.writer import GROUP_LIMIT, Writer

SECONDS = 30.0


class MemoryStore:
    """Keeps lists of words; each transaction waits for `gate`, and fails while `full`."""

    def __init__(self) -> None:
        self.committed: list[list[str]] = []
        self.gate, self.began = threading.Event(), threading.Event()
        self.upkept, self.probed = threading.Event(), threading.Event()
        self.full = self.closed = False
        self.gate.set()

    @contextmanager
    def transaction(self) -> Iterator[list[str]]:
        self.began.set()
        assert self.gate.wait(SECONDS)
        words: list[str] = []
        yield words
        if self.full:
            raise LedgerUnwritableError("the disk is full", code="FULL")
        self.committed.append(words)

    def probe(self) -> None:
        self.probed.set()
        if self.full:
            raise LedgerUnwritableError("the disk is full", code="FULL")

    def upkeep(self) -> float:
        self.upkept.set()
        return 60.0

    def close(self) -> None:
        self.closed = True


class FullDuringUpkeep(MemoryStore):
    """A store whose first upkeep finds the disk full."""

    def upkeep(self) -> float:
        if not self.upkept.is_set():
            self.upkept.set()
            raise LedgerUnwritableError("the disk is full", code="FULL")
        return 60.0


class Observed:
    def __init__(self) -> None:
        self.groups: list[int] = []
        self.failures = self.damages = 0
        self.failed_once = threading.Event()

    def committed(self, *, jobs: int, seconds: float) -> None:
        self.groups.append(jobs)

    def failed(self) -> None:
        self.failures += 1
        self.failed_once.set()

    def damaged(self) -> None:
        self.damages += 1


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def writer(store: MemoryStore, observed: Observed) -> Iterator[Writer[list[str]]]:
    running = Writer(store, observed, queue_limit=GROUP_LIMIT + 10)
    yield running
    store.gate.set()
    running.close()


def word(text: str) -> Any:
    return lambda words: words.append(text) or len(words)


def hold(writer: Writer[list[str]], store: MemoryStore) -> Any:
    """Block the thread in the transaction of a first write."""
    store.gate.clear()
    first = writer.submit(word("first"))
    assert store.began.wait(SECONDS)
    return first


def test_writes_that_wait_share_a_commit(
    writer: Writer[list[str]], store: MemoryStore, observed: Observed
) -> None:
    """Each future has the result of its own work, after the commit of all."""
    first = hold(writer, store)
    others = [writer.submit(word(f"w{n}")) for n in range(3)]
    assert writer.backlog() == 3
    assert not first.done()
    store.gate.set()
    assert [done.result(SECONDS) for done in (first, *others)] == [1, 1, 2, 3]
    assert store.committed == [["first"], ["w0", "w1", "w2"]]
    assert observed.groups == [1, 3]


def test_a_group_is_bounded(writer: Writer[list[str]], store: MemoryStore, observed: Observed) -> None:
    """However many writes are queued, a commit has GROUP_LIMIT of them at most."""
    hold(writer, store)
    waiting = [writer.submit(word("w")) for _ in range(GROUP_LIMIT + 1)]
    store.gate.set()
    assert waiting[-1].result(SECONDS) == 1
    assert observed.groups == [1, GROUP_LIMIT, 1]


def damaged(words: list[str]) -> None:
    raise LedgerDamagedError("malformed", code="CORRUPT")


def test_a_write_that_meets_damage_fails_alone(
    writer: Writer[list[str]], store: MemoryStore, observed: Observed
) -> None:
    """The others of its group are committed, and the ledger can still be written."""
    hold(writer, store)
    good, bad, last = (writer.submit(work) for work in (word("good"), damaged, word("last")))
    store.gate.set()
    with pytest.raises(LedgerDamagedError):
        bad.result(SECONDS)
    assert [good.result(SECONDS), last.result(SECONDS)] == [1, 1]
    assert store.committed == [["first"], ["good"], ["last"]]
    assert (writer.writable(), observed.failures, observed.damages) == (True, 0, 2)


class DamagedUpkeep(MemoryStore):
    """A store whose upkeep meets damage."""

    def upkeep(self) -> float:
        self.upkept.set()
        raise LedgerDamagedError("malformed", code="CORRUPT")


def test_damage_during_upkeep_leaves_the_ledger_writable(observed: Observed) -> None:
    """Upkeep is tried again after a pause."""
    store = DamagedUpkeep()
    running = Writer(store, observed)
    assert store.upkept.wait(SECONDS)
    assert running.submit(word("w")).result(SECONDS) == 1
    assert (running.writable(), observed.damages, observed.failures) == (True, 1, 0)
    running.close()


def test_a_full_queue_refuses_at_once(store: MemoryStore, observed: Observed) -> None:
    """submit() raises at once; the queued writes are stored."""
    running = Writer(store, observed, queue_limit=1)
    hold(running, store)
    running.submit(word("second"))
    with pytest.raises(LedgerBusyError):
        running.submit(word("third"))
    store.gate.set()
    running.close()
    assert store.committed == [["first"], ["second"]]


def test_a_cancelled_write_is_left_out(writer: Writer[list[str]], store: MemoryStore) -> None:
    """A caller that cancels before its group begins has nothing stored."""
    hold(writer, store)
    left, kept = writer.submit(word("left")), writer.submit(word("kept"))
    assert left.cancel()
    store.gate.set()
    kept.result(SECONDS)
    assert store.committed == [["first"], ["kept"]]


def test_a_failed_commit_stores_nothing_of_its_group_until_one_succeeds(
    writer: Writer[list[str]], store: MemoryStore, observed: Observed
) -> None:
    """Its futures raise, and the ledger is not writable until the next successful commit."""
    store.full = True
    with pytest.raises(LedgerUnwritableError, match="full"):
        writer.submit(word("lost")).result(SECONDS)
    assert (writer.writable(), writer.alive(), observed.failures) == (False, True, 1)
    store.full = False
    assert writer.submit(word("kept")).result(SECONDS) == 1
    assert writer.writable()
    assert store.committed == [["kept"]]


def test_a_probe_finds_that_there_is_space_again(
    writer: Writer[list[str]], store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that could not be written recovers without any write."""
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.01)
    store.full = True
    with pytest.raises(LedgerUnwritableError):
        writer.submit(word("lost")).result(SECONDS)
    assert store.probed.wait(SECONDS)
    store.full = False
    pause = threading.Event()
    for _ in range(3000):
        if writer.writable():
            break
        pause.wait(0.01)
    assert writer.writable()


def test_upkeep_runs_without_writes(writer: Writer[list[str]], store: MemoryStore) -> None:
    """Upkeep runs at once after the start."""
    assert store.upkept.wait(SECONDS)


def test_close_commits_queued_writes(writer: Writer[list[str]], store: MemoryStore) -> None:
    """After them the store is closed, and a later write is refused."""
    hold(writer, store)
    waiting = writer.submit(word("second"))
    store.gate.set()
    writer.close()
    assert waiting.result(0) == 1
    assert store.closed
    with pytest.raises(LedgerUnwritableError, match="ended"):
        writer.submit(word("third"))


def test_a_failing_probe_is_repeated(
    writer: Writer[list[str]], store: MemoryStore, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failed probe is counted, and the writer lives on."""
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
    store.full = True
    with pytest.raises(LedgerUnwritableError):
        writer.submit(word("lost")).result(SECONDS)
    assert store.probed.wait(SECONDS)
    store.probed.clear()
    assert store.probed.wait(SECONDS)
    assert observed.failures >= 2
    assert (writer.writable(), writer.alive()) == (False, True)


def test_a_full_disk_during_upkeep_makes_the_ledger_unwritable(observed: Observed) -> None:
    """Upkeep is suspended until a commit or a probe succeeds."""
    full = FullDuringUpkeep()
    running = Writer(full, observed)
    assert observed.failed_once.wait(SECONDS)
    assert running.submit(word("kept")).result(SECONDS) == 1
    running.close()
    assert (full.committed, observed.failures) == ([["kept"]], 1)


def test_writes_after_close_was_called_fail_at_once(store: MemoryStore, observed: Observed) -> None:
    """A write that is queued behind the end of the thread has a future that raises."""
    running = Writer(store, observed)
    hold(running, store)
    running._queue.put(None)
    late = running.submit(word("late"))
    store.gate.set()
    with pytest.raises(LedgerUnwritableError, match="the ledger is closed"):
        late.result(SECONDS)
    running.close()
    running.close()
    assert store.committed == [["first"]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_the_program_ends_the_writer(writer: Writer[list[str]], store: MemoryStore) -> None:
    """An error that is not the store's is not retried: the futures raise, and only a restart helps."""

    def broken(words: list[str]) -> None:
        raise KeyError("a fault of this program")

    hold(writer, store)
    done = writer.submit(broken)
    store.gate.set()
    with pytest.raises(LedgerUnwritableError, match="ended"):
        done.result(SECONDS)
    writer._thread.join(SECONDS)
    assert not writer.alive()
    assert store.closed
