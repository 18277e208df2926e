"""Several processes of the statistics on one ClickHouse server, by real requests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.clickhouse import clickhouse_address
from support.statistics.process import Statistics, statistics, until_true
from wsedge_statistics.ledger.clickhouse.server import Address


@pytest.fixture
def address() -> Iterator[Address]:
    with clickhouse_address() as given:
        yield given


def arguments(address: Address) -> tuple[str, ...]:
    server = ("--clickhouse-url", address.url, "--clickhouse-database", address.database)
    return ("--ledger", "clickhouse", *server)


@pytest.fixture
def replicas(tmp_path: Path, address: Address) -> Iterator[list[Statistics]]:
    """Two processes beside each other."""
    with ExitStack() as stack:
        yield [stack.enter_context(statistics(tmp_path / str(n), *arguments(address))) for n in range(2)]


def total(program: Statistics) -> int:
    return int(program.get("/v1/traffic").json["total"]["sentBytes"])


def test_one_relay_may_report_to_any_of_them(replicas: list[Statistics]) -> None:
    """A repeat, a partial and a late report to another process neither lose nor double."""
    first, second = replicas
    bucket = recent_bucket(1)
    for program, sent in ((first, 300), (second, 200), (second, 500), (first, 500)):
        assert program.post(report(row(bucket, sentBytes=sent, codes={"101": sent}))).status == 204
    assert first.post(report(row(bucket, sentBytes=7), epoch="00000001")).status == 204
    for program in replicas:
        assert total(program) == 507
        assert program.get("/v1/codes").json["total"][0]["count"] == 500
        assert program.request("GET", "/readyz").status == 200


def test_each_learns_of_the_others_directory(replicas: list[Statistics]) -> None:
    """The domains of a Directory are known to the process that did not get it."""
    first, second = replicas
    assert first.put_directory(directory()).status == 204

    def names(program: Statistics) -> list[str]:
        return [each["domain"] for each in program.get("/v1/domains").json["domains"] if each["configured"]]

    assert names(first) == ["chat.example.com"]
    assert until_true(lambda: names(second) == ["chat.example.com"])


def test_a_kill_loses_no_acknowledged_count(tmp_path: Path, address: Address) -> None:
    """A process has no state of its own: after SIGKILL another one, and the same again, answer all of it."""
    bucket = recent_bucket(1)
    with statistics(tmp_path / "killed", *arguments(address)) as program:
        assert program.post(report(row(bucket, sentBytes=41))).status == 204
        program.stop(signal.SIGKILL)
    assert list((tmp_path).glob("*/*")) == []
    with statistics(tmp_path / "next", *arguments(address)) as program:
        assert total(program) == 41
        assert program.post(report(row(bucket, sentBytes=42))).status == 204
        assert total(program) == 42
        assert program.stop() == 0


def test_no_server_is_told_and_ends_the_start(tmp_path: Path) -> None:
    """Exit code 1 with the server's address, as for a ledger that cannot be opened."""
    program = Statistics(tmp_path, *arguments(Address("http://127.0.0.1:1")))
    assert program.wait() == 1
    assert "http://127.0.0.1:1" in program.lines[-1]
