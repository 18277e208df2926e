"""The folder of a ledger: on a local disk, for one process at a time."""

from __future__ import annotations

import ctypes
import fcntl
import os
from pathlib import Path
from typing import Final

from wsedge_statistics.errors import LedgerPlaceError

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
    """A ledger's folder under an exclusive lock, which the kernel releases when the process ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            kind = network_filesystem(filesystem_type(folder))
            if kind:
                raise LedgerPlaceError(f"{folder} is on {kind}; a ledger needs a local disk")
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerPlaceError(f"{folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LedgerPlaceError(f"{folder} is in use by another process") from error

    @property
    def database(self) -> Path:
        """The ledger's file."""
        return self.folder / "ledger.sqlite3"

    def size(self) -> int:
        """Return the bytes of the ledger's files."""
        return sum(file.stat().st_size for file in self.folder.glob("ledger.sqlite3*"))

    def release(self) -> None:
        """Release the folder to other processes."""
        os.close(self._lock)
