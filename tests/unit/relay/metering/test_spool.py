"""The spool: the rows of a killed process are read, even from a damaged file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsedge_relay.errors import SpoolUnavailableError
from wsedge_relay.metering import spool as spool_module
from wsedge_relay.metering.spool import (
    COMPACT_BYTES,
    Spool,
    adopt,
    decode,
    encode_line,
    folder_of,
    lock_folder,
)
from wsedge_relay.metering.usage import UsageCount, UsageKey

KEY = UsageKey("chat.example.com", "team-a", "shanghai", "telecom", "CN")


def row(sent_bytes: int, *, bucket: int = 300, epoch: str = "aaaaaaaa") -> UsageCount:
    """Return a row with every field set."""
    return UsageCount(epoch, bucket, KEY, sent_bytes, 2, 3, 4, 5, 6, ((101, 5), (403, 1)))


def opened(folder: Path, *, uid: str = "uid-1", epoch: str = "aaaaaaaa") -> Spool:
    """Return a spool of a run of the relay."""
    return Spool(folder, pod="team-a/chat", uid=uid, epoch=epoch)


def killed(spool: Spool) -> None:
    """Close the descriptors of a spool as the kernel does for a killed process."""
    os.close(spool._lock)
    if spool._stream is not None:
        os.close(spool._stream)


def left_behind(folder: Path, *states: UsageCount) -> Path:
    """Return the journal of a run that was killed."""
    spool = opened(folder)
    for state in states:
        spool.append([state])
    killed(spool)
    (file,) = folder.glob("*.journal")
    return file


def test_the_next_run_finds_what_a_killed_one_wrote(tmp_path: Path) -> None:
    """Rows are unchanged, states are merged, and the source is the earlier run."""
    left_behind(tmp_path, row(1), row(9), row(4, bucket=600))
    spool = opened(tmp_path, uid="uid-2", epoch="bbbbbbbb")
    (file,) = spool.backlog_files()
    backlog = spool.read(file)
    assert backlog is not None
    assert (backlog.pod, backlog.uid, backlog.rows) == ("team-a/chat", "uid-1", (row(9), row(4, bucket=600)))
    spool.settle(backlog, [])
    assert spool.backlog_files() == []
    spool.close([])


def test_a_run_that_ends_in_order_leaves_only_what_is_not_reported(tmp_path: Path) -> None:
    """close() stores exactly the given rows."""
    spool = opened(tmp_path)
    spool.append([row(1), row(1, bucket=600)])
    spool.close([row(1, bucket=600)])
    again = opened(tmp_path, epoch="bbbbbbbb")
    backlog = again.read(again.backlog_files()[0])
    assert backlog is not None
    assert backlog.rows == (row(1, bucket=600),)
    again.close([])


def test_nothing_left_is_no_file(tmp_path: Path) -> None:
    """A relay whose usage was all acknowledged leaves only the lock file."""
    spool = opened(tmp_path)
    spool.append([row(1)])
    spool.close([])
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_the_part_that_a_service_holds_off_is_kept(tmp_path: Path) -> None:
    """settle() reduces a backlog file to the given rows, with the same source."""
    left_behind(tmp_path, row(1), row(2, bucket=600))
    spool = opened(tmp_path, uid="uid-2", epoch="bbbbbbbb")
    (file,) = spool.backlog_files()
    backlog = spool.read(file)
    assert backlog is not None
    spool.settle(backlog, [row(2, bucket=600)])
    again = spool.read(file)
    assert again is not None
    assert (again.uid, again.rows) == ("uid-1", (row(2, bucket=600),))
    spool.close([])


def test_parked_rows_are_a_backlog(tmp_path: Path) -> None:
    """Rows that were moved out of memory can be read in the same run, oldest file first."""
    spool = opened(tmp_path)
    spool.park([row(1)])
    spool.park([row(2, bucket=600)])
    read = [spool.read(file) for file in spool.backlog_files()]
    assert [backlog.rows[0].sent_bytes for backlog in read if backlog] == [1, 2]
    spool.close([])


def test_two_relays_cannot_share_a_folder(tmp_path: Path) -> None:
    """The second relay gets an error; after the end of the first it can use the folder."""
    first = opened(tmp_path)
    with pytest.raises(SpoolUnavailableError, match="another relay process uses it"):
        opened(tmp_path)
    first.close([])
    opened(tmp_path).close([])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The error names the folder and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnavailableError, match=r"file/spool.*Not a directory"):
        opened(tmp_path / "file" / "spool")


def test_a_journal_shrinks_to_what_is_needed(tmp_path: Path) -> None:
    """Superseded states are dropped when they exceed a megabyte."""
    spool = opened(tmp_path)
    many = [row(number) for number in range(9000)]
    spool.append(many)
    assert spool.wants_compaction
    spool.compact([row(9000)])
    assert not spool.wants_compaction
    (file,) = tmp_path.glob("*.journal")
    assert file.stat().st_size < 1000 < COMPACT_BYTES
    spool.append([row(9001)])
    killed(spool)
    assert decode(file.read_bytes())[2] == [row(9001)]


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_torn_tail_is_what_a_kill_leaves(tmp_path: Path, cut: int) -> None:
    """A file that ends inside a line loses only that line, and does not count as damaged."""
    file = left_behind(tmp_path, row(1), row(2, bucket=600))
    file.write_bytes(file.read_bytes()[:-cut])
    spool = opened(tmp_path, epoch="bbbbbbbb")
    backlog = spool.read(file)
    assert backlog is not None
    assert backlog.rows == (row(1),)
    assert list(tmp_path.glob("*.corrupt")) == []
    spool.close([])


def test_a_damaged_line_is_set_aside_and_the_rest_saved(tmp_path: Path) -> None:
    """The damaged file is kept for a person; its intact rows are reported."""
    file = left_behind(tmp_path, row(1), row(2, bucket=600), row(3, bucket=900))
    content = bytearray(file.read_bytes())
    content[content.index(b"[600,")] ^= 1
    file.write_bytes(content)
    spool = opened(tmp_path, epoch="bbbbbbbb")
    for _ in range(2):  # the second time it is sound
        backlog = spool.read(file)
        assert backlog is not None
        assert backlog.rows == (row(1), row(3, bucket=900))
    (kept,) = tmp_path.glob("*.corrupt")
    assert kept.read_bytes() == content
    spool.close([])


@pytest.mark.parametrize("content", [b"\x00" * 4096 + b"\n", b"\xff\xfe\n", b"00000000 {}\n" * 9])
def test_a_file_of_nonsense_is_never_fatal(tmp_path: Path, content: bytes) -> None:
    """Without a header the source of the rows is unknown, so the file is kept as damaged."""
    file = tmp_path / "1-aaaaaaaa.journal"
    file.write_bytes(content)
    spool = opened(tmp_path)
    assert spool.read(file) is None
    assert not file.exists()
    assert (tmp_path / "1-aaaaaaaa.corrupt").read_bytes() == content
    spool.close([])


def test_an_empty_file_is_removed(tmp_path: Path) -> None:
    """A run that was killed before its first line leaves an empty file."""
    file = tmp_path / "1-aaaaaaaa.journal"
    file.touch()
    spool = opened(tmp_path)
    assert spool.read(file) is None
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lock"]
    spool.close([])


def test_a_failed_append_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """On a full disk a partial row is removed, and later appends work when there is room."""
    spool = opened(tmp_path)
    spool.append([row(1)])
    (file,) = tmp_path.glob("*.journal")
    before = file.read_bytes()
    spool._stream, real = os.open("/dev/full", os.O_WRONLY), spool._stream
    assert real is not None
    with pytest.raises(OSError, match=r"No space left|Invalid argument"):
        spool.append([row(2)])
    os.close(spool._stream)
    spool._stream = real
    assert file.read_bytes() == before
    spool.append([row(3)])
    assert decode(file.read_bytes())[2] == [row(3)]
    spool.close([])


NOT_ROWS: list[Any] = [None, 1, "x", [], [[], [], []], [["e"] * 6, [0] * 6, []], [["e"] * 6, ["0"] * 7, []]]


@pytest.mark.parametrize(
    "document",
    [*NOT_ROWS, [["e"] * 6, [-1] * 7, []], [["e"] * 6, [10**12] * 7, []], [["e"] * 6, [0] * 7, [["101", 1]]]],
)
def test_a_sound_line_that_is_no_row_is_damage(document: object) -> None:
    """A correct checksum does not make other content a row."""
    content = encode_line({"version": 1, "pod": "p", "uid": "u"}) + encode_line(document)
    assert decode(content) == ("p", "u", [], "1 lines, the first is line 2")


def test_connection_time_is_of_the_row_before() -> None:
    """The largest of several states counts; behind a damaged row, or without a row, the line is damage."""
    row, time = [["e", "d", "a", "r", "i", "x"], [300, 1, 0, 0, 0, 0, 0], []], ["connectionSeconds", 7]
    longer, header = ["connectionSeconds", 9], {"version": 1, "pod": "p", "uid": "u"}

    def decoded(*documents: object) -> tuple[list[int], str | None]:
        _, _, rows, damage = decode(b"".join(map(encode_line, (header, *documents))))
        return [each.connection_seconds for each in rows], damage

    assert decoded(row, longer, row, time, row) == ([9], None)
    assert decoded(time, row) == ([0], "1 lines, the first is line 2")
    assert decoded(row, ["x"], time) == ([0], "2 lines, the first is line 3")
    assert decoded(row, ["connectionSeconds", -1]) == ([0], "1 lines, the first is line 3")


def test_the_peaks_of_earlier_runs_are_those_of_this_pod_and_bucket(tmp_path: Path) -> None:
    """A run that was killed, and one that ended; nothing else, and nothing twice."""
    key = UsageKey("chat.example.com", "team-a")

    def spool(uid: str = "uid-1") -> Spool:
        return Spool(tmp_path, pod="team-a/chat", uid=uid, epoch=f"{len(list(tmp_path.iterdir())):08x}")

    def found(bucket: int, uid: str = "uid-1") -> dict[UsageKey, int]:
        reader = spool(uid)
        peaks = reader.earlier_peaks(bucket)
        os.close(reader._lock)
        return peaks

    for epoch, peak in (("aaaaaaaa", 3), ("bbbbbbbb", 2)):  # both were killed: the second exceeds by two
        killed = spool()
        killed.park([UsageCount(epoch, 300, key, peak_connections=peak), UsageCount(epoch, 0, key)])
        os.close(killed._lock)
    assert found(300) == found(300) == {key: 5}
    ended = spool()
    ended.earlier_peaks(300)
    ended.remember("cccccccc", 300, {key: 7})
    ended.close([UsageCount("cccccccc", 300, key, peak_connections=2)])
    assert found(300) == {key: 7}
    for file in tmp_path.glob("*.journal"):
        file.unlink()
    assert found(300) == {key: 7}
    assert found(300, uid="uid-2") == found(600) == {}


DAMAGED_PEAKS = {
    "empty": b"",
    "not a line": b"\xff\x00",
    "another form": encode_line({"peaks": 1}),
    "keys of another form": encode_line(["uid-1", 300, [1], [["a", 1], 5, ["d", "a", "r", "i", "x", "1"]]]),
}


@pytest.mark.parametrize("content", DAMAGED_PEAKS.values(), ids=DAMAGED_PEAKS.keys())
def test_peaks_that_cannot_be_read_are_none(tmp_path: Path, content: bytes) -> None:
    """A relay starts all the same."""
    spool = Spool(tmp_path, pod="team-a/chat", uid="uid-1", epoch="0123abcd")
    (tmp_path / "peaks").write_bytes(content)
    assert spool.earlier_peaks(300) == {}
    spool.close([])


def test_old_and_huge_journals_are_not_read_for_peaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay's start does not wait for the backlog of a long outage."""
    key = UsageKey("chat.example.com", "team-a")
    spool = Spool(tmp_path, pod="team-a/chat", uid="uid-1", epoch="0123abcd")
    spool.park([UsageCount("aaaaaaaa", 3000, key, peak_connections=3)])
    (file,) = tmp_path.glob("*.journal")
    os.utime(file, (2999, 2999))
    assert spool.earlier_peaks(3000) == {}
    os.utime(file, (3000, 3000))
    monkeypatch.setattr(spool_module, "_MOST_PEAK_BYTES", 10)
    assert spool.earlier_peaks(3000) == {}
    spool.close([])


@given(st.binary(max_size=300))
def test_any_bytes_can_be_decoded(content: bytes) -> None:
    """Any content gives rows or damage, never an exception."""
    decode(content)
    decode(encode_line({"version": 1, "pod": "p", "uid": "u"}) + content + b"\n")


class TestAdoption:
    """A relay starts with another number of workers than before."""

    FILES: ClassVar = {
        "one process after three": (1, "0.journal 1.journal 2.journal 3.corrupt 3.journal"),
        "three after one process": (
            3,
            "worker-1/0.journal worker-1/1.journal worker-2/2.journal worker-3/3.corrupt worker-3/3.journal"
            " worker-3/3.new",
        ),
        "two after three": (
            2,
            "worker-1/0.journal worker-1/1.journal worker-1/3.corrupt worker-1/3.journal worker-2/2.journal",
        ),
    }

    @pytest.mark.parametrize("case", FILES)
    def test_files_of_unused_folders_are_moved(self, tmp_path: Path, case: str) -> None:
        """Files of the root and of folders without a worker move to the first worker; others stay."""
        workers, wanted = self.FILES[case]
        (tmp_path / "0.journal").write_text("root")
        for number in (1, 2, 3):
            folder = folder_of(tmp_path, number)
            os.close(lock_folder(folder))
            (folder / f"{number}.journal").write_text(str(number))
        (folder / "3.corrupt").write_text("x")
        (folder / "3.new").write_text("torn")
        adopt(tmp_path, workers=workers)
        found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.*")}
        assert found == set(wanted.split())
        kept = {folder_of(tmp_path, number) for number in range(1, workers + 1)} if workers > 1 else set()
        assert set(tmp_path.glob("worker-*")) == kept

    def test_a_folder_in_use_is_left_alone(self, tmp_path: Path) -> None:
        """A worker of the previous relay may still run; the next start moves its files."""
        folder = folder_of(tmp_path, 2)
        lock = lock_folder(folder)
        (folder / "2.journal").write_text("x")
        adopt(tmp_path, workers=1)
        assert (folder / "2.journal").exists()
        os.close(lock)
        adopt(tmp_path, workers=1)
        assert not folder.exists()

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        """The error has the folder's name."""
        (tmp_path / "worker-1").write_text("a file where a folder shall be")
        with pytest.raises(SpoolUnavailableError, match=str(tmp_path)):
            adopt(tmp_path, workers=2)


class TestClocks:
    """The header of a journal has the origin of the clock in each epoch."""

    def test_a_later_run_of_this_machine_reads_them(self, tmp_path: Path) -> None:
        """From the journal as it was opened, and after it was settled in part."""
        killed(clocked(tmp_path, {"aaaaaaaa": 1000.5}))
        spool = opened(tmp_path, epoch="cccccccc")
        (file,) = spool.backlog_files()
        backlog = spool.read(file)
        assert backlog is not None
        assert backlog.clocks == {"aaaaaaaa": 1000.5}
        spool.settle(backlog, [row(9, bucket=600)])
        again = spool.read(file)
        assert again is not None
        assert (again.rows, again.clocks) == ((row(9, bucket=600),), {"aaaaaaaa": 1000.5})
        spool.close([])

    def test_a_clock_that_was_set_is_added(self, tmp_path: Path) -> None:
        """The journal asks to be compacted, which writes its header again; a parked file does not count."""
        clocks = {"aaaaaaaa": 1000.5}
        spool = clocked(tmp_path, clocks)
        assert not spool.wants_compaction
        clocks["bbbbbbbb"] = 2000.5
        assert spool.wants_compaction
        spool.park([row(1)])
        assert spool.wants_compaction
        spool.compact([row(1), row(2, epoch="bbbbbbbb")])
        assert not spool.wants_compaction
        killed(spool)
        later = opened(tmp_path, epoch="cccccccc")
        found = [later.read(file) for file in later.backlog_files()]
        assert [backlog.clocks for backlog in found if backlog] == [clocks, clocks]
        later.close([])

    def test_after_a_start_of_the_machine_they_mean_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its uptime begins at zero; nor do they without the name of this start."""
        (tmp_path / "boot").write_text("another\n")
        killed(clocked(tmp_path / "spool", {"aaaaaaaa": 1000.5}))
        for boot in ("boot", "absent"):
            spool_module._boot.cache_clear()
            monkeypatch.setattr(spool_module, "_BOOT", tmp_path / boot)
            spool = opened(tmp_path / "spool", epoch="cccccccc")
            (file,) = spool.backlog_files()
            backlog = spool.read(file)
            assert backlog is not None
            assert backlog.clocks == {}
            killed(spool)
        spool_module._boot.cache_clear()

    def test_a_number_that_is_no_time_is_none(self, tmp_path: Path) -> None:
        """The rows are delivered nevertheless."""
        odd = {"aaaaaaaa": 10**400, "bbbbbbbb": float("nan"), "cccccccc": float("inf"), "dddddddd": 5}
        killed(clocked(tmp_path, odd))
        spool = opened(tmp_path, epoch="eeeeeeee")
        (file,) = spool.backlog_files()
        backlog = spool.read(file)
        assert backlog is not None
        assert (backlog.rows, backlog.clocks) == ((row(1),), {"dddddddd": 5.0})
        killed(spool)

    def test_the_rows_of_a_damaged_file_keep_them(self, tmp_path: Path) -> None:
        """They are saved with the header."""
        killed(clocked(tmp_path, {"aaaaaaaa": 1000.5}))
        (file,) = tmp_path.glob("*.journal")
        file.write_bytes(file.read_bytes() + b"damage\n")
        spool = opened(tmp_path, epoch="cccccccc")
        for _ in range(2):
            backlog = spool.read(file)
            assert backlog is not None
            assert backlog.clocks == {"aaaaaaaa": 1000.5}
        killed(spool)


def clocked(folder: Path, clocks: Mapping[str, float]) -> Spool:
    """Return a spool with a row, whose Usage has these clocks."""
    spool = Spool(folder, pod="team-a/chat", uid="uid-1", epoch="aaaaaaaa", clocks=clocks)
    spool.append([row(1)])
    return spool
