"""The spool: usage that the ledger has not acknowledged, in files that outlive the process.

The exact losses: a process that is killed (SIGKILL, out of memory, a bug) loses the counts since its last
sweep, at most SWEEP_SECONDS plus the time of one write (when a sweep takes more than 20 ms: 50 times its
duration); written bytes are safe in the kernel. A machine that loses power, or a pod that is destroyed with
its disk, loses at most one flush interval, because each flush syncs the journal and reports to the ledger. A
relay that ends after a drain loses nothing.

A relay of several workers has a folder for each, `worker-1` and so on. Each process run has one file,
`<time>-<epoch>.journal`: a header line (pod, uid, origins of clocks), then a line per state of a row; states
of one row are merged by max(). A line of its own, behind that of the row, has the connection time: a relay of
the first release takes it as damage, keeps a copy of the file and reports the rows. Each line has its CRC-32,
so a torn tail is detected. Files of earlier runs, and rows that were moved out of memory, form the backlog,
which is removed after it was sent. A file with a damaged line is kept as `.corrupt`; its intact rows are
saved.

The file `peaks` has the peaks of earlier runs in one bucket, and their epochs: their journals may be gone
when a run is succeeded within the bucket. All calls block: call them in a thread, one at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from wsedge_relay.errors import SpoolUnavailableError
from wsedge_relay.metering.usage import UsageCount, UsageKey, merged

SWEEP_SECONDS: Final = 1.0
COMPACT_BYTES: Final = 1 << 20
_MAX_FILE_BYTES: Final = 1 << 28
_SUFFIX: Final = ".journal"
_CORRUPT: Final = ".corrupt"
_LATEST: Final = 253_402_300_799  # seconds since 1970 UTC: the end of the year 9999, Python's last date
_CONNECTION_SECONDS: Final = "connectionSeconds"
_LOCK: Final = "lock"
_PEAKS: Final = "peaks"
# A larger journal is not read for its peaks: the start of a relay waits for it.
_MOST_PEAK_BYTES: Final = 1 << 24
_WORKER: Final = "worker-"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backlog:
    """The rows of one file of an earlier run, with the pod that counted them.

    `clocks` are the origins of its epochs' clocks, as in Usage, since this machine was started.
    """

    path: Path
    pod: str
    uid: str
    rows: tuple[UsageCount, ...]
    clocks: Mapping[str, float] = field(default_factory=dict)


class Spool:
    """A spool folder that this process has locked; raises SpoolUnavailableError when it cannot.

    `clocks` are those of the Usage, which may change.
    """

    def __init__(
        self, folder: Path, *, pod: str, uid: str, epoch: str, clocks: Mapping[str, float] | None = None
    ) -> None:
        self.folder = folder
        self._clocks = clocks or {}
        self._journal_clocks: frozenset[str] = frozenset()
        self._pod, self._uid = pod, uid
        self._lock = lock_folder(folder)
        for torn in folder.glob("*.new"):
            torn.unlink(missing_ok=True)  # an unfinished atomic replace
        self._journal = folder / f"{time.time_ns():020d}-{epoch}{_SUFFIX}"
        self._stream: int | None = None
        self._size = 0
        self._compacted_size = 0
        self._parked = 0
        self._succeeded: set[str] = set()

    @property
    def wants_compaction(self) -> bool:
        """Whether most lines of the journal are superseded, or its header lacks a clock."""
        if self._size and not self._clocks.keys() <= self._journal_clocks:
            return True
        return self._size > COMPACT_BYTES and self._size > 4 * self._compacted_size

    def append(self, rows: Iterable[UsageCount]) -> None:
        """Append states of rows to the journal; raises OSError and then leaves the journal unchanged."""
        content = b"".join(_encode_row(row) for row in rows)
        stream = self._open()
        try:
            _write_all(stream, content)
        except OSError:
            os.ftruncate(stream, self._size)
            raise
        self._size += len(content)

    def sync(self) -> None:
        """Make the journal durable; raises OSError."""
        if self._stream is not None:
            os.fsync(self._stream)

    def compact(self, rows: Sequence[UsageCount]) -> None:
        """Replace the journal by these rows, or remove it when there are none; raises OSError."""
        self._close_stream()
        if rows:
            self._size = self._compacted_size = self._replace(self._journal, self._encode(rows))
            self._journal_clocks = frozenset(self._clocks)
        else:
            self._journal.unlink(missing_ok=True)
            self._size = self._compacted_size = 0

    def park(self, rows: Sequence[UsageCount]) -> None:
        """Write rows to a backlog file of their own, durable on return; raises OSError."""
        self._parked += 1
        stem = self._journal.name.removesuffix(_SUFFIX)
        self._replace(self.folder / f"{stem}.{self._parked:06d}{_SUFFIX}", self._encode(rows))

    def backlog_files(self) -> list[Path]:
        """Return the backlog files, oldest first; raises OSError."""
        files = (file for file in self.folder.iterdir() if file.name.endswith(_SUFFIX))
        return sorted(file for file in files if file != self._journal)

    def read(self, path: Path) -> Backlog | None:
        """Return a backlog file's rows; remove it and return None when it has none. Raises OSError."""
        with path.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES)
        pod, uid, rows, damage = decode(content)
        if damage:
            kept = path.with_suffix(_CORRUPT)
            kept.unlink(missing_ok=True)
            kept.hardlink_to(path)
            if rows:
                saved = _encode(pod, uid, rows, _clocks_of(content))
                _write_file(path.with_suffix(".new"), saved)
                path.with_suffix(".new").rename(path)
            _log.error(
                "spool file damaged", file=str(path), kept=str(kept), damage=damage, rows_saved=len(rows)
            )
        if not rows:
            path.unlink(missing_ok=True)
            return None
        return Backlog(path, pod, uid, tuple(rows), _clocks_of(content))

    def settle(self, backlog: Backlog, left: Sequence[UsageCount]) -> None:
        """Reduce a backlog file to the rows of `left`, or remove it without any; raises OSError."""
        if left:
            self._replace(backlog.path, _encode(backlog.pod, backlog.uid, left, backlog.clocks))
        else:
            backlog.path.unlink(missing_ok=True)

    def earlier_peaks(self, bucket: int) -> dict[UsageKey, int]:
        """Return the peaks of earlier runs of this pod in a bucket; without any that cannot be read.

        Each run reports the excess over its predecessors, so that the sum over runs is the peak.
        """
        peaks = self._remembered(bucket)
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                if facts.st_mtime >= bucket and facts.st_size <= _MOST_PEAK_BYTES:
                    self._add_peaks(peaks, path.read_bytes(), bucket)
        if peaks:
            with contextlib.suppress(OSError):
                self._write_peaks(bucket, peaks)
        return peaks

    def remember(self, epoch: str, bucket: int, peaks: Mapping[UsageKey, int]) -> None:
        """Write the peaks of this run, which ends, and of those before it; raises OSError."""
        self._succeeded.add(epoch)
        self._write_peaks(bucket, peaks)

    def _add_peaks(self, peaks: dict[UsageKey, int], content: bytes, bucket: int) -> None:
        _, uid, rows, _ = decode(content)
        found = [row for row in rows if uid == self._uid and row.bucket == bucket]
        for row in found:
            if row.epoch not in self._succeeded and row.peak_connections:
                peaks[row.key] = peaks.get(row.key, 0) + row.peak_connections
        self._succeeded |= {row.epoch for row in found}

    def _remembered(self, bucket: int) -> dict[UsageKey, int]:
        try:
            content = (self.folder / _PEAKS).read_bytes()
        except OSError:
            return {}
        match _decode_line(content.rstrip(b"\n")):
            case [str(uid), int(of), [*epochs], [*pairs]] if (uid, of) == (self._uid, bucket):
                self._succeeded = {epoch for epoch in epochs if isinstance(epoch, str)}
                return dict(found for pair in pairs if (found := _peak_of(pair)) is not None)
        return {}

    def _write_peaks(self, bucket: int, peaks: Mapping[UsageKey, int]) -> None:
        line = encode_line(
            [self._uid, bucket, sorted(self._succeeded), [[*key, n] for key, n in peaks.items()]]
        )
        self._replace(self.folder / _PEAKS, line)

    def close(self, rows: Sequence[UsageCount]) -> None:
        """Store exactly these rows for the next run and unlock the folder; raises OSError."""
        try:
            self.compact(rows)
        finally:
            self._close_stream()
            os.close(self._lock)

    def _encode(self, rows: Iterable[UsageCount]) -> bytes:
        return _encode(self._pod, self._uid, rows, self._clocks)

    def _open(self) -> int:
        if self._stream is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            stream = os.open(self._journal, flags, 0o600)
            try:
                if os.fstat(stream).st_size == 0:
                    _write_all(stream, self._encode(()))
                    self._journal_clocks = frozenset(self._clocks)
            except OSError:
                os.ftruncate(stream, 0)
                os.close(stream)
                raise
            self._stream = stream
            self._size = os.fstat(stream).st_size
        return self._stream

    def _close_stream(self) -> None:
        if self._stream is not None:
            os.close(self._stream)
            self._stream = None

    def _replace(self, path: Path, content: bytes) -> int:
        fresh = path.with_suffix(".new")
        try:
            _write_file(fresh, content)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        fresh.rename(path)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return len(content)


def _peak_of(pair: object) -> tuple[UsageKey, int] | None:
    match pair:
        case [str(domain), str(account), str(region), str(isp), str(area), int(peak)]:
            return UsageKey(domain, account, region, isp, area), peak
    return None


def lock_folder(folder: Path) -> int:
    """Lock a spool folder until the process closes the returned descriptor, or ends.

    Raises SpoolUnavailableError when it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SpoolUnavailableError(folder, str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SpoolUnavailableError(folder, "another relay process uses it") from error
    return lock


def folder_of(root: Path, worker: int) -> Path:
    """Return the spool folder of a worker, by its number from 1 on. A relay of one process uses the root."""
    return root / f"{_WORKER}{worker}"


def adopt(root: Path, *, workers: int) -> None:
    """Move the files of workers that will not run to the folder of a worker that will report them.

    The caller has locked the root and has not started workers yet. A folder that another process has locked
    is skipped. Raises SpoolUnavailableError when files cannot be moved.
    """
    theirs = [folder_of(root, number) for number in range(1, workers + 1)] if workers > 1 else []
    into = theirs[0] if theirs else root
    try:
        into.mkdir(exist_ok=True, mode=0o700)
        for left in sorted(root.glob(f"{_WORKER}*")):
            if left.is_dir() and left not in theirs:
                _empty(left, into)
        if into != root:
            _move(root, into)
    except OSError as error:
        raise SpoolUnavailableError(root, str(error)) from error


def _empty(folder: Path, into: Path) -> None:
    try:
        lock = lock_folder(folder)
    except SpoolUnavailableError as error:
        _log.warning("spool folder skipped", folder=str(folder), reason=error.reason)
        return
    try:
        _move(folder, into)
        (folder / _LOCK).unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    finally:
        os.close(lock)


def _move(folder: Path, into: Path) -> None:
    for file in sorted(folder.iterdir()):
        if file.suffix == ".new" or file.name == _PEAKS:
            file.unlink()
        elif file.suffix in (_SUFFIX, _CORRUPT):
            file.rename(into / file.name)
            _log.info("spool file adopted", file=file.name, of=str(folder))


def encode_line(document: object) -> bytes:
    """Return one line of a journal: CRC-32 of the JSON text, the JSON text."""
    text = json.dumps(document, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(content: bytes) -> tuple[str, str, list[UsageCount], str | None]:
    """Return pod, uid, the rows (states merged) and the damage, if any, of a journal's bytes.

    A last line without its end is the trace of a killed process, and no damage. Without a sound header the
    source of the rows is not known, and none are returned.
    """
    lines = content.split(b"\n")
    tail = lines.pop()
    if not lines:
        return "", "", [], None if _may_be_torn_header(tail) else "no header"
    header = _decode_line(lines[0])
    pod, uid = (header.get("pod"), header.get("uid")) if isinstance(header, dict) else (None, None)
    if not (isinstance(pod, str) and isinstance(uid, str) and pod and uid):
        return "", "", [], "no header"
    rows: dict[tuple[str, int, UsageKey], UsageCount] = {}
    damaged = []
    row: UsageCount | None = None
    for number, line in enumerate(lines[1:], start=2):
        row = _row_of(_decode_line(line), before=row)
        if row is None:
            damaged.append(number)
        elif row.identity in rows:
            rows[row.identity] = merged(rows[row.identity], row)
        else:
            rows[row.identity] = row
    damage = f"{len(damaged)} lines, the first is line {damaged[0]}" if damaged else None
    return pod, uid, sorted(rows.values(), key=lambda row: row.bucket), damage


def _may_be_torn_header(tail: bytes) -> bool:
    return not tail or tail[:8].isalnum()


def _decode_line(line: bytes) -> object:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a correct CRC of a line that no relay wrote
        return None


def _encode(pod: str, uid: str, rows: Iterable[UsageCount], clocks: Mapping[str, float]) -> bytes:
    added = {"boot": _boot(), "clocks": clocks} if clocks else {}
    header = encode_line({"version": 1, "pod": pod, "uid": uid, **added})
    return header + b"".join(_encode_row(row) for row in rows)


def uptime() -> float:
    """Return the seconds since the machine was started, as all its processes see them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def _boot() -> str:
    """Return the name of this start of the machine: an uptime means nothing after the next."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return secrets.token_hex(8)  # no other process has it


def _clocks_of(content: bytes) -> Mapping[str, float]:
    """Return the clocks in a journal's header, unless the machine was started since then."""
    match _decode_line(content.partition(b"\n")[0]):
        case {"boot": str(boot), "clocks": dict(clocks)} if boot == _boot():
            return {epoch: float(at) for epoch, at in clocks.items() if _is_origin(at)}
    return {}


def _is_origin(at: object) -> bool:
    """Return whether a value is the origin of a clock: a sound line may have NaN, or 400 digits."""
    return isinstance(at, int | float) and -_LATEST <= at <= _LATEST


def _encode_row(row: UsageCount) -> bytes:
    line = encode_line(_row_to_json(row))
    if not row.connection_seconds:
        return line
    return line + encode_line([_CONNECTION_SECONDS, row.connection_seconds])


def _row_to_json(row: UsageCount) -> list[object]:
    key = row.key
    return [
        [row.epoch, key.domain, key.account, key.region, key.isp, key.area],
        [row.bucket, *_numbers(row)],
        row.codes,
    ]


def _numbers(row: UsageCount) -> Iterator[int]:
    yield row.sent_bytes
    yield row.received_bytes
    yield row.sent_messages
    yield row.received_messages
    yield row.opened_connections
    yield row.peak_connections


def _row_of(document: object, *, before: UsageCount | None) -> UsageCount | None:
    """Return the row of a line, or the row of the line before with its connection time."""
    match document:
        case [str(name), int(seconds)] if name == _CONNECTION_SECONDS and before is not None and seconds >= 0:
            return replace(before, connection_seconds=seconds)
    return _row_from_json(document)


def _row_from_json(document: object) -> UsageCount | None:
    match document:
        case [
            [str(epoch), str(domain), str(account), str(region), str(isp), str(area)],
            [int(bucket), int(sent), int(received), int(outbound), int(inbound), int(opened), int(peak)],
            [*codes],
        ]:
            pass
        case _:
            return None
    pairs = []
    for code in codes:
        match code:
            case [int(status), int(times)]:
                pairs.append((status, times))
            case _:
                return None
    if min(bucket, sent, received, outbound, inbound, opened, peak) < 0 or bucket > _LATEST:
        return None
    key = UsageKey(domain, account, region, isp, area)
    return UsageCount(epoch, bucket, key, sent, received, outbound, inbound, opened, peak, tuple(pairs))


def _write_file(path: Path, content: bytes) -> None:
    stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_all(stream, content)
        os.fsync(stream)
    finally:
        os.close(stream)


def _write_all(stream: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(stream, view) :]
