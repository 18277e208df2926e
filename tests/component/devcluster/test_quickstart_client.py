"""The example client of the quickstart when its room is broken: a sentence, and no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

CLIENT: Final = Path(__file__).parents[3] / "examples" / "quickstart" / "client.py"
ANSWERS: Final = {
    "no origin answers the relay": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "HTTP 502"),
    "the relay hangs up": (b"", "did not receive a valid HTTP response"),
}


def run(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CLIENT), f"127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.values(), ids=ANSWERS)
def test_a_refused_handshake_is_a_sentence(answer: bytes, reason: str) -> None:
    """It has the reason and the command that finds the cause."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=refuse)
        thread.start()
        said = run(server.getsockname()[1])
        thread.join()
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("client: 127.0.0.1:")
    assert reason in line
    assert "kubectl wsedge status" in line


def test_an_address_where_nothing_listens_is_a_sentence() -> None:
    """A wrong address, or a domain that is switched off."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = run(port)
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert "Connect call failed" in line
