"""The file of the price book, read again when it changes. A broken book keeps the last good one."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from wsedge_statistics.billing.prices import MAX_BYTES, Book, read_book
from wsedge_statistics.errors import PriceBookError

log = structlog.get_logger()


class PriceFile:
    """A price book in a file, such as a mounted ConfigMap's. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: bytes | str | None = None  # the last content, or why there was none
        self._book: Book | None = None
        self._error: PriceBookError | None = None

    def book(self) -> Book:
        """Return the book of the file, or the last good one while the file is broken.

        Raises PriceBookError when there was no good one since the start: without prices a statement would be
        closed for nothing.
        """
        with self._lock:
            self._read()
            if self._book is None:
                raise self._error or PriceBookError("the price book was not read")
            return self._book

    def valid(self) -> bool:
        """Return whether the file has a book that can be used."""
        with self._lock:
            self._read()
            return self._error is None

    def _read(self) -> None:
        """Read the file and parse it if its content changed. A ConfigMap has at most 1 MiB."""
        seen: bytes | str
        try:
            with self._path.open("rb") as file:
                seen = file.read(MAX_BYTES + 1)
        except OSError as error:
            seen = f"{self._path}: {error.strerror}"
        if seen == self._seen:
            return
        self._seen = seen
        try:
            if isinstance(seen, str):
                raise PriceBookError(seen)
            self._book, self._error = read_book(seen), None
            log.info("price book loaded", entries=len(self._book.prices), currency=self._book.currency)
        except PriceBookError as error:
            self._error = error
            log.error("price book cannot be used", error=str(error), last_good=self._book is not None)
