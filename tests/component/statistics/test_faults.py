"""Kills, full disks, second processes, wrong starts: acknowledged counts stay, failures are reported."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.faults import LIMITED, big_report, free_space
from support.statistics.process import Statistics, statistics, until_true
from wsedge_statistics.contract import USAGE_PATH


class Sender(threading.Thread):
    """A relay that reports growing counts of its own source, with the last acknowledged count."""

    def __init__(self, program: Statistics, number: int) -> None:
        super().__init__()
        self.program, self.uid = program, f"uid-{number}"
        self.acknowledged = 0
        self.start()

    def run(self) -> None:
        bucket = recent_bucket(1)
        connection = http.client.HTTPConnection("127.0.0.1", self.program.port, timeout=60)
        try:
            for sent in itertools.count(1):
                document = report(row(bucket, sentBytes=sent, codes={"101": sent}), uid=self.uid)
                headers = {"Content-Type": "application/json"}
                connection.request("POST", USAGE_PATH, json.dumps(document).encode(), headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 204:
                    self.acknowledged = sent
        except (OSError, http.client.HTTPException):
            return  # the process was killed
        finally:
            connection.close()


def test_a_kill_during_ingest_loses_no_acknowledged_count(tmp_path: Path) -> None:
    """SIGKILL under load, three times; every count answered with 204 is stored, and none is doubled."""
    for number in range(3):
        with statistics(tmp_path / "data") as program:
            senders = [Sender(program, 10 * number + n) for n in range(4)]
            until_true(lambda: min(s.acknowledged for s in senders) > 20)  # noqa: B023  used in this round
            program.stop(signal.SIGKILL)
            for sender in senders:
                sender.join()
        with (
            statistics(tmp_path / "data") as program,
            closing(sqlite3.connect(tmp_path / "data/ledger.sqlite3")) as db,
        ):
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            for sender in senders:
                (sent, code) = db.execute(
                    "SELECT u.sent, c.count FROM sources s JOIN usage u ON u.source = s.id "
                    "JOIN codes c ON c.source = s.id WHERE s.uid = ?",
                    (sender.uid,),
                ).fetchone()
                # one report may be committed without its answer
                assert sender.acknowledged <= sent == code <= sender.acknowledged + 1
            (total,) = db.execute("SELECT sum(sent) FROM usage").fetchone()
            assert program.get("/v1/traffic").json["total"]["sentBytes"] == total


def test_the_directory_survives_a_kill(tmp_path: Path) -> None:
    """An acknowledged Directory is in force after a restart."""
    with statistics(tmp_path / "data") as program:
        program.put_directory(directory())
        program.stop(signal.SIGKILL)
    with statistics(tmp_path / "data") as program:
        assert program.get("/v1/options", account="team-a").json["timeZone"] == "Asia/Shanghai"


def test_sigterm_answers_requests_under_way_and_ends_with_0(tmp_path: Path) -> None:
    """Their reports are on disk; the exit code is 0."""
    with statistics(tmp_path / "data") as program:
        senders = [Sender(program, n) for n in range(4)]
        until_true(lambda: min(s.acknowledged for s in senders) > 20)
        assert program.stop() == 0
        for sender in senders:
            sender.join()
        assert "ended" in program.lines[-1]
    with closing(sqlite3.connect(tmp_path / "data/ledger.sqlite3")) as db:
        (total,) = db.execute("SELECT sum(sent) FROM usage").fetchone()
        assert sum(s.acknowledged for s in senders) <= total <= sum(s.acknowledged + 1 for s in senders)


def test_a_full_disk_is_503_until_there_is_space(tmp_path: Path) -> None:
    """Reports get 503 and are not stored; questions are answered; the program recovers by itself."""
    acknowledged = 0
    with statistics(tmp_path / "data", prefix=(*LIMITED, str(400_000))) as program:
        for number in range(100):
            answer = program.post(big_report(number))
            if answer.status != 204:
                break
            acknowledged += 1
        assert (answer.status, answer.json["type"]) == (503, "urn:wsedge:problem:ledger-unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert acknowledged > 0
        assert program.event("ledger cannot be written")["level"] == "error"
        assert program.get("/readyz").status == 503
        assert program.get("/healthz").status == 200
        assert program.get("/v1/traffic").json["total"]["sentBytes"] == 500 * acknowledged
        free_space(program)
        program.event("ledger can be written again")
        assert program.get("/readyz").status == 200
        assert program.post(big_report(1000)).status == 204
        assert program.get("/v1/traffic").json["total"]["sentBytes"] == 500 * (acknowledged + 1)


def test_a_second_process_on_one_folder_is_refused(tmp_path: Path) -> None:
    """It ends with 1 and the reason; the first process continues."""
    with statistics(tmp_path / "data") as first:
        second = Statistics(tmp_path / "data")
        assert second.wait() == 1
        assert "in use by another process" in second.lines[-1]
        assert first.post(report(row(recent_bucket(1)))).status == 204


def test_a_damaged_ledger_ends_the_start_with_one_line(tmp_path: Path) -> None:
    """The line has the cause; there is no traceback."""
    with statistics(tmp_path / "data"):
        pass
    with closing(sqlite3.connect(tmp_path / "data/ledger.sqlite3")) as db:
        db.execute("DROP TABLE directory")
        db.commit()
    program = Statistics(tmp_path / "data")
    assert program.wait() == 1
    assert any("the ledger cannot be read: no such table" in line for line in program.lines)
    assert not any("Traceback" in line for line in program.lines)


WRONG_STARTS = {
    "a public address without an issuer": (["--listen", "0.0.0.0:0"], "every caller could read"),
    "an issuer without keys": (["--issuer", "https://x"], "issuer needs jwks-url"),
    "keys without an issuer": (["--jwks-url", "https://x"], "jwks-url needs issuer"),
    "an own token that is no token": (
        ["--jwks-url", "https://x", "--api-token-file", "/dev/null"],
        "--api-token-file: no issuer in the token (Not enough segments); give --issuer",
    ),
    "keys by http": (
        ["--issuer", "https://x", "--jwks-url", "http://x"],
        "--jwks-url: must begin with https",
    ),
    "a zone that does not exist": (["--time-zone", "Mars"], "--time-zone: not an IANA time zone"),
    "no port": (["--listen", "127.0.0.1"], "give HOST:PORT"),
    "a port beyond the last": (["--listen", "127.0.0.1:99999"], "give HOST:PORT"),
    "an address of another machine": (
        ["--listen", "192.0.2.1:0", "--issuer", "i", "--jwks-url", "https://x"],
        "cannot listen",
    ),
}


@pytest.mark.parametrize(("arguments", "text"), WRONG_STARTS.values(), ids=WRONG_STARTS.keys())
def test_a_wrong_start_ends_with_one_line(tmp_path: Path, arguments: list[str], text: str) -> None:
    """Exit code 2 and one line that names the option; no traceback, and no ledger is created."""
    command = [sys.executable, "-m", "wsedge_statistics.main", "--data", str(tmp_path / "data"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert text in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_question_that_takes_too_long_is_503(tmp_path: Path) -> None:
    """The answer says what to narrow, and which wait was applied; health and other questions are answered."""
    with statistics(tmp_path / "data") as program:
        assert program.post(report(row(recent_bucket(1), sentBytes=1))).status == 204
        answer = program.request("GET", "/v1/traffic", headers={"Prefer": "wait=0"})
        assert (answer.status, answer.json["type"]) == (503, "urn:wsedge:problem:too-slow")
        assert "shorter span" in answer.json["detail"]
        assert answer.headers["preference-applied"] == "wait=0"
        assert program.get("/healthz").status == 200
        assert program.get("/v1/traffic").json["total"]["sentBytes"] == 1


def test_settings_come_from_the_environment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins; lists are separated by commas."""
    from wsedge_statistics.settings import read_settings

    monkeypatch.setenv("WSEDGE_STATISTICS_DATA", str(tmp_path))
    monkeypatch.setenv("WSEDGE_STATISTICS_TIME_ZONE", "Asia/Shanghai")
    monkeypatch.setenv(
        "WSEDGE_STATISTICS_ADMIN_SUBJECT", "system:serviceaccount:a:b, system:serviceaccount:c:d"
    )
    settings = read_settings(["--time-zone", "UTC", "--operator-subject", "one", "--operator-subject", "two"])
    assert (settings.data, settings.time_zone) == (tmp_path, "UTC")
    assert settings.operator_subject == ("one", "two")
    assert settings.admin_subject == ("system:serviceaccount:a:b", "system:serviceaccount:c:d")


def test_openapi_is_printed_without_a_ledger() -> None:
    """--openapi prints the description, and nothing else."""
    command = [sys.executable, "-m", "wsedge_statistics.main", "--openapi"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "/v1/traffic" in json.loads(printed.stdout)["paths"]
    assert printed.stderr == ""
