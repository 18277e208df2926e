"""The real program as a process, and a client of it."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from wsedge_statistics.contract import DIRECTORY_PATH, USAGE_PATH

DEADLINE = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Statistics:
    """One process of the program with its log lines, and requests to it.

    `release` is a folder with the sources of an earlier release.
    """

    def __init__(
        self,
        data: Path,
        *arguments: str,
        token: str | None = None,
        prefix: tuple[str, ...] = (),
        release: Path | None = None,
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WSEDGE_")}
        if release is not None:
            environment["PYTHONPATH"] = f"{release}/statistics"
        command = [*prefix, sys.executable, "-m", "wsedge_statistics.main", "--data", str(data)]
        command += ["--listen", "127.0.0.1:0", "--log-format", "json", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.token = token
        self.port = 0
        self.seen: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read_log)
        self._reader.start()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("{"):
                self._events.put(json.loads(line))
        self._events.put(None)

    def event(self, name: str) -> dict[str, Any]:
        """Wait for a log event."""
        until = time.monotonic() + DEADLINE
        while True:
            found = self._events.get(timeout=max(0.0, until - time.monotonic()))
            assert found is not None, f"ended without {name}: {''.join(self.lines)}"
            self.seen.append(found)
            if found["event"] == name:
                return found

    def logged(self, name: str) -> dict[str, Any]:
        """Return a log event that has been read, as those before `listening` have; else wait for it."""
        return next((found for found in self.seen if found["event"] == name), None) or self.event(name)

    def listening(self) -> Statistics:
        self.port = self.event("listening")["port"]
        return self

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, body, {**bearer, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **parameters: Any) -> Answer:
        query = f"?{urlencode(parameters, doseq=True)}" if parameters else ""
        return self.request("GET", path + query)

    def post(self, document: Any, *, compressed: bool = False, token: str | None = None) -> Answer:
        return self._send("POST", USAGE_PATH, document, compressed=compressed, token=token)

    def put_directory(self, document: Any, *, token: str | None = None) -> Answer:
        return self._send("PUT", DIRECTORY_PATH, document, compressed=False, token=token)

    def _send(self, method: str, path: str, document: Any, *, compressed: bool, token: str | None) -> Answer:
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if compressed:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        return self.request(method, path, body, headers)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


@contextmanager
def statistics(data: Path, *arguments: str, **options: Any) -> Iterator[Statistics]:
    """A running process whose port is known; killed at the end if it still runs."""
    running = Statistics(data, *arguments, **options)
    try:
        yield running.listening()
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.wait()


def until_true(ask: Any, *, deadline: float = DEADLINE) -> Any:
    """Call `ask` until the answer is true, and return it; fail at the deadline."""
    until = time.monotonic() + deadline
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < until, "not true before the deadline"
        threading.Event().wait(0.05)
