"""ClickHouse's engine (chdb) behind ClickHouse's HTTP interface, on a free port. Runs in .venv-clickhouse.

    server.py FOLDER      prints its port, then serves until its standard input ends

It has the part of the interface that clients of a server need: a query in the body or the parameter `query`,
data for INSERT after it, `database`, `param_NAME`, and settings as parameters. One query at a time.
"""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
import threading
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from chdb import ChdbError, session

_NOT_SETTINGS = {
    "query",
    "database",
    "query_id",
    "session_id",
    "client_protocol_version",
    "wait_end_of_query",
    "default_format",
    "enable_http_compression",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "cancel_http_readonly_queries_on_client_close",
    "compress",
    "decompress",
    # no other server holds a copy, and chdb has no replicated tables
    "insert_quorum",
    "insert_quorum_parallel",
    "insert_quorum_timeout",
    "select_sequential_consistency",
}
_INSERT = re.compile(rb"^\s*INSERT\s+INTO\s.*?\sFORMAT\s+(\w+)\s*\n", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_CODE = re.compile(r"Code:\s*(\d+)")


class Engine:
    """The one session of this process."""

    def __init__(self, folder: str) -> None:
        self._session = session.Session(folder)
        self._lock = threading.Lock()
        self._database = ""

    def run(self, query: bytes, parameters: dict[str, str], *, fmt: str) -> bytes:
        """Return a query's output. Raises ChdbError or RuntimeError with ClickHouse's text."""
        settings = {
            name: value
            for name, value in parameters.items()
            if name not in _NOT_SETTINGS and not name.startswith("param_")
        }
        bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
        with self._lock, tempfile.NamedTemporaryFile() as file:
            database = parameters.get("database") or "default"
            if database != self._database:
                self._session.query(f"USE `{database}`")
                self._database = database
            if inserted := _INSERT.match(query):
                file.write(query[inserted.end() :])
                file.flush()
                head = query[: inserted.start(1)].decode().rstrip().removesuffix("FORMAT")
                text = f"{head} FROM INFILE '{file.name}' FORMAT {inserted[1].decode()}"
            else:
                text = query.decode().rstrip().rstrip(";")
                if found := _FORMAT.search(text):
                    text, fmt = text[: found.start()], found[1]
            for name, value in settings.items():
                self._session.query(f"SET {name} = '{value}'")
            try:
                return bytes(self._session.query(text, fmt, params=bound or None).bytes())
            finally:
                for name in settings:
                    self._session.query(f"SET {name} = DEFAULT")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path == "/ping":
            self._send(200, b"Ok.\n", {})
            return
        body = self._body()
        if self.headers.get_content_type() == "multipart/form-data":  # long parameters
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            for part in message_from_bytes(head + body, policy=HTTP).iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                parameters[name] = bytes(part.get_payload(decode=True)).decode()
            body = b""
        query = parameters.get("query", "").encode()
        whole = query + b"\n" + body if query and body else query or body
        try:
            output = self.engine.run(whole, parameters, fmt=parameters.get("default_format", "TabSeparated"))
        except (RuntimeError, ChdbError) as error:
            text = str(error)
            code = _CODE.search(text)
            self._send(500, text.encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1002"})
        except OSError as error:  # the disk is full, of which the engine itself would not say less
            self._send(500, f"Code: 243. {error}".encode(), {"X-ClickHouse-Exception-Code": "243"})
        else:
            self._send(200, output, {"X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of its base
        """Write nothing."""


def main() -> None:
    """Serve until the standard input ends."""
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    Handler.engine = Engine(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
