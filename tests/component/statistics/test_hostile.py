"""Bodies that no relay sends: each is refused with a reason, and the program continues."""

from __future__ import annotations

import gzip
import json
import random
import socket
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.statistics.build import recent_bucket, report, row
from support.statistics.process import Statistics
from wsedge_statistics.contract import USAGE_PATH

JSON = {"Content-Type": "application/json"}
GZIP = JSON | {"Content-Encoding": "gzip"}


def send(program: Statistics, body: bytes, headers: dict[str, str]) -> Any:
    return program.request("POST", USAGE_PATH, body, headers)


def test_bodies_of_a_wrong_form(laptop: Statistics) -> None:
    """415 for an unsupported form, 413 for too many bytes, 400 for broken gzip, 422 for another document."""
    good = json.dumps(report(row(recent_bucket(1)))).encode()
    packed = gzip.compress(good)
    table: dict[str, tuple[bytes, dict[str, str], int]] = {
        "no content type": (good, {}, 415),
        "a form": (good, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        "an unsupported coding": (good, JSON | {"Content-Encoding": "br"}, 415),
        "gzip twice": (gzip.compress(packed), JSON | {"Content-Encoding": "gzip, gzip"}, 415),
        "not gzip": (good, GZIP, 400),
        "gzip cut short": (packed[:-9], GZIP, 400),
        "a wrong checksum": (packed[:-8] + b"\0" * 8, GZIP, 400),
        "something after the gzip": (packed + packed, GZIP, 400),
        "zlib instead of gzip": (zlib.compress(good), GZIP, 400),
        "a gzip bomb": (gzip.compress(b"\0" * (64 << 20)), GZIP, 413),
        "a large body": (b" " * (9 << 20), JSON, 413),
        "nothing": (b"", JSON, 422),
        "not JSON": (b"{", JSON, 422),
        "not UTF-8": (b'{"version": "\xff"}', JSON, 422),
        "deeply nested": (b"[" * 100_000, JSON, 422),
    }
    for name, (body, headers, status) in table.items():
        answer = send(laptop, body, headers)
        assert (answer.status, answer.json["status"]) == (status, status), name
        assert answer.headers["content-type"] == "application/problem+json", name
        assert answer.json["detail"], name
    assert send(laptop, packed, GZIP).status == 204
    assert send(laptop, good, {"Content-Type": "application/json; charset=utf-8"}).status == 204


FLOODS = {
    "rows that are empty": b'"rows":[' + b"{}," * 1_000_000 + b"{}]",
    "rows that are numbers": b'"rows":[' + b"0," * 1_000_000 + b"0]",
    "unknown fields": b",".join(b'"%x":0' % n for n in range(100_000)),
}
SOURCE = b'{"version":1,"source":{"pod":"team-a/x","uid":"u","epoch":"9f3c0000"},'


def test_a_flood_of_faults_is_refused_in_bounded_memory(laptop: Statistics) -> None:
    """However many faults a body within the size has, the answer has one."""
    peak = peak_memory(laptop)
    for name, members in FLOODS.items():
        answer = send(laptop, gzip.compress(SOURCE + members + b"}", 1), GZIP)
        assert (answer.status, answer.json["type"]) == (422, "urn:wsedge:problem:rows-refused"), name
        assert len(answer.json["errors"]) == 1, name
    assert peak_memory(laptop) - peak < 300 << 20


def peak_memory(program: Statistics) -> int:
    """The most bytes that the process ever had resident."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def test_the_largest_report_is_accepted(laptop: Statistics) -> None:
    """5000 rows with 64 codes each are within every bound."""
    codes = {str(100 + n): 1 for n in range(64)}
    rows = [row(recent_bucket(1), domain=f"d{n}.example", codes=codes) for n in range(5000)]
    assert laptop.post(report(*rows), compressed=True).status == 204
    assert laptop.get("/v1/codes").json["total"][0]["count"] == 5000


BAD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "a negative count": ({"sentBytes": -1}, "sentBytes"),
    "a fraction": ({"sentBytes": 1.5}, "sentBytes"),
    "a count beyond 53 bits": ({"sentBytes": 2**53}, "sentBytes"),
    "a count as text": ({"peakConnections": "many"}, "peakConnections"),
    "a bucket off the grid": ({"bucket": "2026-06-01T10:01:00Z"}, ""),
    "a bucket without a zone": ({"bucket": "2026-06-01T10:00:00"}, "bucket"),
    "a bucket in another zone": ({"bucket": "2026-06-01T18:00:00+08:00"}, ""),
    "a bucket that is no instant": ({"bucket": "yesterday"}, "bucket"),
    "a code beyond 599": ({"codes": {"999": 1}}, "codes"),
    "too many codes": ({"codes": {str(100 + n): 1 for n in range(65)}}, "codes"),
    "an empty domain": ({"domain": ""}, "domain"),
    "a domain in capitals": ({"domain": "Chat.Example.Com"}, "domain"),
    "an account with a slash": ({"account": "a/b"}, "account"),
    "a region with a line break": ({"region": "a\nb"}, "region"),
    "an empty region": ({"region": ""}, "region"),
    "a bucket of tomorrow": ({"bucket": (recent_bucket() + timedelta(days=1)).isoformat()}, "bucket"),
    "a bucket of last year": ({"bucket": (recent_bucket() - timedelta(days=94)).isoformat()}, "bucket"),
    "a bucket of the year 1": ({"bucket": "0001-01-01T00:00:00Z"}, "bucket"),
    "a bucket of the year 9999": ({"bucket": "9999-12-31T23:55:00Z"}, "bucket"),
}


def test_a_bad_row_is_named_and_nothing_is_stored(laptop: Statistics) -> None:
    """422 with the row's index, the field and the reason; the good row beside it is not stored either."""
    good = row(recent_bucket(1), sentBytes=1)
    for name, (fields, field) in BAD_ROWS.items():
        answer = laptop.post(report(good, {**good, **fields}))
        assert answer.status == 422, name
        fault = answer.json["errors"][0]
        assert fault["row"] == 1, name
        assert field in fault["field"], name
        assert fault["reason"], name
    assert laptop.get("/v1/traffic").json["total"]["sentBytes"] == 0


def mutate(random_source: random.Random, body: bytes) -> bytes:
    """Return a report with a few of its bytes or pieces changed."""
    changed = bytearray(body)
    for _ in range(random_source.randint(1, 6)):
        at = random_source.randrange(len(changed))
        match random_source.randrange(4):
            case 0:
                changed[at] = random_source.randrange(256)
            case 1:
                del changed[at : at + random_source.randrange(1, 40)]
            case 2:
                changed[at:at] = random_source.choice(
                    [
                        b"{",
                        b"]",
                        b"null",
                        b"1e999",
                        b"-0",
                        b"NaN",
                        b'"\\ud800"',
                        b"9" * 400,
                        b"\0",
                        b'"',
                        b"true",
                    ]
                )
            case _:
                changed[at:at] = changed[at : at + 30]
    return bytes(changed) or b" "


def test_mutated_reports_are_accepted_or_refused(laptop: Statistics) -> None:
    """No answer is 500, and afterwards every question is answered."""
    source = random.Random(20261122)
    body = json.dumps(
        report(row(recent_bucket(1), sentBytes=5, codes={"101": 1}), row(recent_bucket(2)))
    ).encode()
    for number in range(400):
        hostile = mutate(source, body)
        headers = JSON
        if number % 3 == 0:
            hostile, headers = gzip.compress(hostile), GZIP
            if number % 2:
                hostile = mutate(source, hostile)
        answer = send(laptop, hostile, headers)
        assert answer.status in (204, 400, 413, 415, 422), (number, answer.text)
        assert answer.status == 204 or answer.json["detail"], number
    for path in (
        "/v1/traffic",
        "/v1/bandwidth",
        "/v1/codes",
        "/v1/domains",
        "/v1/options",
        "/readyz",
        "/metrics",
    ):
        assert laptop.get(path).status == 200, path


def test_hostile_parameters_are_answered(laptop: Statistics) -> None:
    """The answer is 200, 400 or 404, never 500."""
    source = random.Random(7)
    names = ["start", "end", "granularity", "domain", "region", "isp", "account", "timeZone", "x"]
    pieces = [
        "",
        "\0",
        "%00",
        "2026-06-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "1d",
        "5m",
        "é" * 99,
    ]
    pieces += [
        "a" * 5000,
        "'; DROP TABLE usage; --",
        "Asia",
        "posix/UTC",
        "../../etc/localtime",
        "-1",
        "\ud800",
        "NaN",
    ]
    for number in range(300):
        asked = {
            source.choice(names): source.choice(pieces).encode("utf-8", "surrogatepass") for _ in range(3)
        }
        path = source.choice(["/v1/traffic", "/v1/bandwidth", "/v1/codes", "/v1/domains", "/v1/options"])
        answer = laptop.get(path, **asked)
        assert answer.status in (200, 400, 404), (number, path, asked, answer.text)
        assert answer.json is not None


def test_the_largest_counts_do_not_overflow(laptop: Statistics) -> None:
    """Sums beyond 53 bits are still exact."""
    largest = 2**53 - 1
    for uid in ("one", "two", "three"):
        laptop.post(report(row(recent_bucket(1), sentBytes=largest, codes={"101": largest}), uid=uid))
    assert laptop.get("/v1/traffic").json["total"]["sentBytes"] == 3 * largest
    assert laptop.get("/v1/bandwidth", granularity="1h").status == 200
    assert laptop.get("/v1/codes").json["total"][0]["count"] == 3 * largest


NOT_HTTP: dict[str, tuple[bytes, int, str]] = {
    # what is sent, the status of the answer and the kind of its problem
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00" + b"\xff" * 500 + b"\r\n\r\n", 400, "bad-request"),
    "no version": (b"GET /healthz\r\n\r\n", 400, "bad-request"),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "bad-request"),
    "two lengths": (
        b"POST /v1/usage HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "bad-request",
    ),
    "a name with a space": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400, "bad-request"),
    "an unknown coding": (
        b"POST /v1/usage HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n",
        501,
        "bad-request",
    ),
    "a chunk without a size": (
        b"POST /v1/usage HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        400,
        "bad-request",
    ),
    "a head of 70 KB": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000,
        431,
        "head-too-large",
    ),
}


@pytest.mark.parametrize(("sent", "status", "kind"), NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_bytes_that_are_not_http_are_answered_by_a_problem(
    laptop: Statistics, sent: bytes, status: int, kind: str
) -> None:
    """Its text quotes nothing of the request; the connection is closed and the next request is served."""
    with socket.create_connection(("127.0.0.1", laptop.port), 20) as raw:
        raw.sendall(sent)
        head, _, body = b"".join(iter(lambda: raw.recv(4096), b"")).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (status, f"urn:wsedge:problem:{kind}")
    assert b"zz" not in body
    assert b"A b" not in body
    assert laptop.get("/healthz").status == 200


def test_a_body_that_is_broken_after_its_answer_ends_the_connection(laptop: Statistics) -> None:
    """One answer leaves, and no second one."""
    sent = b"POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", laptop.port), 20) as raw:
        raw.sendall(sent)
        answer = raw.recv(4096)
        raw.sendall(b"zz\r\n\r\n")
        answer += b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert laptop.get("/healthz").status == 200


def test_an_endless_head_is_refused(laptop: Statistics) -> None:
    """The size of a request's head is bounded."""
    with socket.create_connection(("127.0.0.1", laptop.port), 20) as raw:
        refused = b""
        try:
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            for number in range(300):
                raw.sendall(b"X-%d: " % number + b"a" * 100_000 + b"\r\n")
            refused = raw.recv(12)
        except ConnectionError:
            pass  # closed before everything was sent
        assert refused in (b"", b"HTTP/1.1 431")
    assert laptop.get("/healthz").status == 200
