"""The folder of a ledger: on a local disk, for one process at a time."""

from __future__ import annotations

import ctypes
import fcntl
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerPlaceError
from wsedge_statistics.ledger.sqlite.connections import create

# statfs(2): magic numbers of network file systems. SQLite's WAL needs working locks and shared memory.
# https://www.sqlite.org/wal.html: "WAL does not work over a network filesystem"
_NETWORK: Final = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x5346414F: "AFS",
    0x73757245: "Coda",
}


def network_filesystem(kind: int) -> str | None:
    """Return the name of the network file system with a statfs type; None for a local file system."""
    return _NETWORK.get(kind & 0xFFFFFFFF)


def filesystem_type(folder: Path) -> int:
    """Return the statfs type of a folder's file system (Linux; f_type is the first word of the struct)."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = (ctypes.c_long * 64)()  # larger than any struct statfs
    if libc.statfs(os.fsencode(folder), ctypes.byref(answer)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(folder))
    return int(answer[0])


class Place:
    """A ledger's folder and files, under locks that the kernel releases when the process ends.

    The lock that counts is on the database itself: a file beside it could be deleted. The file `lock` is what
    programs of the last release lock.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watched: dict[Path, tuple[int, int]] = {}
        self._size = 0
        self._looking = threading.Lock()  # the size that another thread has seen may be larger
        with ExitStack() as opened:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                kind = network_filesystem(filesystem_type(folder))
                if kind:
                    raise LedgerPlaceError(f"{folder} is on {kind}; a ledger needs a local disk")
                _lock(folder / "lock", opened, os.O_CREAT)
                self._refuse_what_is_left()
                if not self.database.exists():
                    create(self.database)
                _lock(self.database, opened)
            except OSError as error:
                raise LedgerPlaceError(f"{folder}: {error.strerror}") from error
            self._opened = opened.pop_all()

    def _refuse_what_is_left(self) -> None:
        """Refuse to begin a new ledger where one was. Raises LedgerPlaceError."""
        wal = self.folder / f"{self.database.name}-wal"
        if self.database.exists():
            if not self.database.stat().st_size:
                raise LedgerPlaceError(
                    f"{self.database} is empty, and no ledger is: restore it from a backup, or delete it to "
                    "begin a new ledger"
                )
        elif wal.exists() and wal.stat().st_size:
            raise LedgerPlaceError(
                f"{self.database} is missing, while {wal.name} has its last commits: restore it, or delete "
                f"{wal.name} to begin a new ledger"
            )

    @property
    def database(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.sqlite3"

    def watch(self) -> None:
        """Remember the files that the writer has open: the database, its log and its shared memory."""
        for suffix in ("", "-wal", "-shm"):
            path = self.folder / f"{self.database.name}{suffix}"
            status = path.stat()
            self._watched[path] = (status.st_dev, status.st_ino)

    def fault(self) -> str | None:
        """Return what happened to the files since `watch`; None if they are as the writer has them open.

        What is written to a file that was deleted or replaced is gone at the next start.
        """
        with self._looking:
            return self._fault()

    def _fault(self) -> str | None:
        for path, identity in self._watched.items():
            try:
                status = path.stat()
            except OSError as error:
                return f"{path} was moved or deleted: {error.strerror}"
            if (status.st_dev, status.st_ino) != identity:
                return f"{path} was replaced by another file"
            if path == self.database:
                if status.st_size < self._size:
                    return f"{path} was truncated from {self._size} to {status.st_size} bytes"
                self._size = status.st_size
        return None

    def free(self) -> int:
        """Return the bytes that the disk has left for this program."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def size(self) -> int:
        """Return the bytes of the ledger's files."""
        return sum(file.stat().st_size for file in self.folder.glob("ledger.sqlite3*"))

    def release(self) -> None:
        """Release the folder to other processes."""
        self._opened.close()


def _lock(path: Path, opened: ExitStack, flags: int = 0) -> None:
    """Lock a file until `opened` is closed. Raises LedgerPlaceError.

    flock(2) does not meet SQLite's own locks (fcntl), except that closing the file would release these.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    opened.callback(os.close, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LedgerPlaceError(f"{path.parent} is in use by another process") from error
