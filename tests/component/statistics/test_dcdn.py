"""The DCDN-compatible RPC: the real program over sockets, with counts in its ledger and keys from Secrets."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.statistics.build import directory, recent_bucket, report, row
from support.statistics.cluster import certificate
from support.statistics.dcdn import RpcClient, plus_form, rpc_parameters, time_stamp
from support.statistics.process import Answer, Statistics, statistics, until_true
from support.statistics.sdk import early_sdk_calls, sdk_calls
from support.statistics.secrets import SecretServer, secret_server

KEY = ("LTAI5tOwnerOfTeamA", "s3cr3t/of+team=a&more")
OTHER = ("LTAI5tOwnerOfTeamB", "s3cr3t-of-team-b-x")
TRAFFIC = "DescribeDcdnDomainWebsocketTrafficData"
BPS = "DescribeDcdnDomainWebsocketBpsData"
CODES = "DescribeDcdnDomainWebsocketHttpCodeData"
SDKS = ("old", "new", "new-v2")
CHAT = {"DomainName": "chat.example.com"}
BUCKET = recent_bucket(3)
RANGE = {"StartTime": time_stamp(BUCKET), "EndTime": time_stamp(BUCKET + timedelta(minutes=10))}


@dataclass
class Program:
    """The program, the API server that it follows, and a client of its RPC."""

    statistics: Statistics
    api: SecretServer
    rpc: RpcClient

    def of(self, key: tuple[str, str]) -> RpcClient:
        return RpcClient(self.rpc.port, key)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SecretServer]:
    with secret_server(tmp_path) as server:
        server.put("team-a", dict([KEY]))
        server.put("team-b", dict([OTHER]))
        yield server


@pytest.fixture
def program(tmp_path: Path, api: SecretServer) -> Iterator[Program]:
    with statistics(tmp_path / "data", *api.arguments) as running:
        port = running.event("listening")["port"]
        message = directory(domains={"chat.example.com": "team-a", "b.example": "team-b"})
        message["domains"][0] |= {"heartbeatSeconds": 45, "originProtocol": "HTTPS"}
        assert running.put_directory(message).status == 204
        counts = report(
            row(BUCKET, sentBytes=1200, codes={"101": 9, "502": 1}),
            row(BUCKET, sentBytes=300, isp="local area network", region="hongkong"),
            row(BUCKET, domain="b.example", account="team-b", sentBytes=77),
        )
        assert running.post(counts).status == 204
        rpc = RpcClient(port, KEY)
        until_true(lambda: rpc.in_query("DescribeDcdnService").status == 200)
        yield Program(running, api, rpc)


def total(answer: Answer) -> float:
    modules = answer.json["TrafficDataPerInterval"]["DataModule"]
    return float(sum(module["WebsocketTraffic"] for module in modules))


def test_every_wire_form_has_the_numbers_of_the_ledger(program: Program) -> None:
    """The bytes that were reported, and those that the native API answers."""
    native = program.statistics.get(
        "/v1/traffic", domain="chat.example.com", start=RANGE["StartTime"], end=RANGE["EndTime"]
    )
    assert native.json["total"]["sentBytes"] == 1500
    for answer in (
        program.rpc.in_query(TRAFFIC, **CHAT, **RANGE),
        program.rpc.in_query(TRAFFIC, "GET", **CHAT, **RANGE),
        program.rpc.in_form(TRAFFIC, **CHAT, **RANGE),
        program.rpc.in_headers(TRAFFIC, **CHAT, **RANGE),
    ):
        assert (answer.status, total(answer)) == (200, 1500)
    assert total(program.of(OTHER).in_query(TRAFFIC)) == 77
    assert program.of(OTHER).in_query(TRAFFIC, **CHAT).json["Code"] == "InvalidDomain.NotFound"
    narrowed = program.rpc.in_headers(
        TRAFFIC, **RANGE, IspNameEn="local area network", LocationNameEn="xianggang"
    )
    assert total(narrowed) == 300


def test_the_rpc_has_a_port_of_its_own(program: Program) -> None:
    """Neither face answers on the other's, whatever the Host header says."""
    native = program.statistics.request("GET", "/", headers={"Host": f"x:{program.rpc.port}"})
    assert native.headers["content-type"] == "application/problem+json"
    assert program.rpc.send("GET", "/metrics").status == program.rpc.send("GET", "/v1/traffic").status == 404


def test_a_revoked_key_ends_at_once(program: Program) -> None:
    """Removed from its Secret, disabled by the annotation, or gone with its Secret."""
    program.api.put("team-a", dict([KEY]), annotations={"wsedge.io/inactive-access-keys": KEY[0]})
    until_true(lambda: program.rpc.in_query(TRAFFIC).json.get("Code") == "InvalidAccessKeyId.Inactive")
    program.api.put("team-a", {"LTAI5tNext": "the-next-secret-key"})
    until_true(lambda: program.rpc.in_query(TRAFFIC).json.get("Code") == "InvalidAccessKeyId.NotFound")
    assert program.of(("LTAI5tNext", "the-next-secret-key")).in_query(TRAFFIC).status == 200
    program.api.delete("team-b")
    until_true(lambda: program.of(OTHER).in_query(TRAFFIC).json.get("Code") == "InvalidAccessKeyId.NotFound")


def test_no_secret_is_in_the_log_the_metrics_or_the_ledger(program: Program, tmp_path: Path) -> None:
    """Also after wrong signatures and ignored keys; keys are in memory alone."""
    program.api.put("team-a", {**dict([KEY]), "LTAI5tShort": "too-short"})
    program.of((KEY[0], "another-secret-of-mine")).in_query(TRAFFIC)
    changed = program.statistics.event("access keys changed")
    while not changed["ignored"]:
        changed = program.statistics.event("access keys changed")
    assert changed["ignored"] == ["LTAI5tShort: the secret is not 16 to 256 printable characters"]
    metrics = program.statistics.get("/metrics").text.decode()
    assert "wsedge_statistics_access_keys 2.0" in metrics
    assert program.statistics.stop() == 0
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    for text in ("".join(program.statistics.lines).encode(), metrics.encode(), kept):
        for secret in (KEY[1], OTHER[1], "too-short", "another-secret-of-mine"):
            assert secret.encode() not in text


def test_requests_that_are_sent_again_or_late_are_refused(program: Program) -> None:
    """As the original does; a nonce may come again in another account."""
    pairs = rpc_parameters(TRAFFIC, KEY)
    first, second = (program.rpc.send("POST", f"/?{plus_form(pairs)}") for _ in range(2))
    assert (first.status, second.status, second.json["Code"]) == (200, 400, "SignatureNonceUsed")
    late = program.rpc.in_query(TRAFFIC, Timestamp=time_stamp(datetime.now(UTC) - timedelta(minutes=16)))
    assert late.json["Code"] == "InvalidTimeStamp.Expired"


def write_certificate(folder: Path) -> Path:
    """Write a new certificate and its key; return the file that clients trust."""
    chain, key = certificate()
    (folder / "tls.key").write_bytes(key)
    (folder / "tls.crt").write_bytes(chain)
    return folder / "tls.crt"


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=60)


def test_the_sdks_call_by_tls(tmp_path: Path, api: SecretServer) -> None:
    """With a certificate the RPC has TLS and the native API has not; a renewed one is served to newcomers."""
    trusted = write_certificate(tmp_path)
    files = ("--dcdn-tls-cert", str(trusted), "--dcdn-tls-key", str(tmp_path / "tls.key"))
    with statistics(tmp_path / "data", *api.arguments, *files) as running:
        port = running.event("listening")["port"]
        assert running.put_directory(directory()).status == 204
        found = until_true(lambda: named(port, trusted))
        assert [one.get("TotalCount") for one in found] == [1, 1, 1]
        assert RpcClient(running.port, KEY).send("GET", "/readyz").status == 200
        before = served_certificate(port)
        write_certificate(tmp_path)
        until_true(lambda: served_certificate(port) != before)


def named(port: int, trusted: Path) -> list[Any] | None:
    """Return the answers of the SDKs; None while the keys are not read yet."""
    found = sdk_calls(port, KEY, *((sdk, "DescribeDcdnUserDomains", {}) for sdk in SDKS), ca=trusted)
    waits = [one for one in found if one.get("error", {}).get("code") == "ServiceUnavailable"]
    return None if waits else [one.get("answer", one) for one in found]


def test_without_its_certificate_the_rpc_alone_fails(tmp_path: Path, api: SecretServer) -> None:
    """Reports and questions go on, and once the files are there the RPC is served."""
    files = ("--dcdn-tls-cert", str(tmp_path / "tls.crt"), "--dcdn-tls-key", str(tmp_path / "tls.key"))
    with statistics(tmp_path / "data", *api.arguments, *files) as running:
        port = running.event("listening")["port"]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            served_certificate(port)
        assert running.get("/v1/options").status == 200
        write_certificate(tmp_path)
        running.event("certificate loaded")
        assert served_certificate(port).startswith("-----BEGIN CERTIFICATE-----")


def test_half_a_request_holds_up_nobody(program: Program) -> None:
    """A head that does not end, and a body that does not arrive."""
    with socket.create_connection(("127.0.0.1", program.rpc.port)) as half:
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12")
        assert program.rpc.in_query(TRAFFIC).status == 200


HOSTILE: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "a long query": ("POST", "/?A=" + "x" * 60_000, b"", {}),
    "many parameters": ("POST", "/?" + "a=&" * 10_000, b"", {}),
    "a body of a megabyte": (
        "POST",
        "/",
        b"x" * (1 << 20),
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "bytes that are not UTF-8": ("POST", "/?A=%ff%fe", b"", {}),
    "an XML document": ("POST", "/", b"<!DOCTYPE a>", {"Content-Type": "text/xml"}),
    "a signature of another algorithm": ("GET", "/", b"", {"Authorization": "ACS3-HMAC-SM3 Credential=a"}),
    "signed headers without an end": (
        "POST",
        "/",
        b"",
        {
            "Authorization": f"ACS3-HMAC-SHA256 Credential=a,SignedHeaders={'a;' * 20_000},Signature=0",
            **dict.fromkeys(("x-acs-action", "x-acs-version", "x-acs-date"), "2026-01-01T00:00:00Z"),
        },
    ),
    "a host that no URL can have": ("POST", "/", b"", {"Host": "["}),
    "a path that no URL can have": ("POST", "//[", b"", {}),
    "a method that is not served": ("PUT", "/", b"", {}),
}


@pytest.mark.parametrize(("method", "path", "body", "headers"), HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_arrives_is_answered_with_4xx(
    program: Program, method: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """And the next call of another client is answered."""
    answer = program.rpc.send(method, path, body, {"Accept": "application/json", **headers})
    assert 400 <= answer.status < 500
    assert {"Code", "Message", "RequestId"} <= set(answer.json)
    assert program.rpc.in_query(TRAFFIC).status == 200


def test_keys_are_known_again_after_a_restart(tmp_path: Path, api: SecretServer) -> None:
    """They are read anew: a key that was revoked meanwhile is not among them."""
    for keys, code in (
        (dict([KEY]), None),
        ({"LTAI5tNext": "the-next-secret-key"}, "InvalidAccessKeyId.NotFound"),
    ):
        api.put("team-a", keys)
        with statistics(tmp_path / "data", *api.arguments) as running:
            port = running.event("listening")["port"]
            rpc = RpcClient(port, KEY)
            answer = until_true(lambda rpc=rpc: (got := rpc.in_query(TRAFFIC)).status != 503 and got)
            assert answer.json.get("Code") == code


MONTH = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-02-01T00:00:00Z"}
EVERY_OPERATION: tuple[tuple[str, dict[str, Any]], ...] = (
    (TRAFFIC, {**CHAT, **RANGE}),
    (BPS, {**CHAT, **RANGE}),
    (CODES, {**CHAT, **RANGE}),
    ("DescribeDcdnRegionAndIsp", {}),
    ("DescribeDcdnService", {}),
    ("DescribeDcdnUserBillType", MONTH),
    ("DescribeDcdnUserDomains", {"PageSize": 50, "PageNumber": 1}),
    ("DescribeDcdnDomainConfigs", {**CHAT, "FunctionNames": "websocket"}),
)


def test_the_official_sdks_get_every_answer(program: Program) -> None:
    """All eight operations by old and new SDK, whose endpoint alone was set, with the ledger's numbers."""
    calls = [(sdk, *call) for sdk in SDKS for call in EVERY_OPERATION]
    found = sdk_calls(program.rpc.port, KEY, *calls)
    for first in range(0, len(found), len(EVERY_OPERATION)):
        answers = [_answer(one) for one in found[first : first + len(EVERY_OPERATION)]]
        _check(answers)
        _check_codes(answers[2])


def test_the_first_of_the_new_sdks_gets_every_answer(program: Program) -> None:
    """It sends parameters in a form; errors arrive in its own exception.

    Of HTTP codes it shows nothing: its model names fields that the documents never had.
    """
    _check([_answer(one) for one in early_sdk_calls(program.rpc.port, KEY, *EVERY_OPERATION)])
    (unknown,) = early_sdk_calls(program.rpc.port, KEY, (TRAFFIC, {"DomainName": "b.example"}))
    (wrong,) = early_sdk_calls(program.rpc.port, (KEY[0], "not-the-secret-at-all"), (BPS, CHAT))
    codes = [one["error"]["code"] for one in (unknown, wrong)]
    assert codes == ["InvalidDomain.NotFound", "SignatureDoesNotMatch"]


def _answer(one: Any) -> Any:
    assert "answer" in one, one
    return one["answer"]


def _check(answers: list[Any]) -> None:
    """What an SDK made of the eight answers."""
    traffic, bps, codes, places, service, bills, domains, configs = answers
    assert [each["WebsocketTraffic"] for each in traffic["TrafficDataPerInterval"]["DataModule"]] == [1500, 0]
    assert {name: traffic[name] for name in RANGE} == RANGE
    assert (traffic["DataInterval"], traffic["DomainName"]) == ("300", "chat.example.com")
    assert [each["WebsocketBps"] for each in bps["BpsDataPerInterval"]["DataModule"]] == [40, 0]
    assert (codes["DataInterval"], codes["DomainName"]) == ("300", "chat.example.com")
    assert {"NameEn": "local area network", "NameZh": "局域网"} in places["Isps"]["Isp"]
    assert {"NameEn": "xianggang", "NameZh": "香港特别行政区"} in places["Regions"]["Region"]
    assert (service["WebsocketType"], service["OperationLocks"]) == ("websocketbps", {"LockReason": []})
    (bill,) = bills["BillTypeData"]["BillTypeDataItem"]
    assert (bill["BillType"], bill["Dimension"]) == ("month_95", "websocket")
    assert (domains["TotalCount"], domains["PageSize"]) == (1, 50)
    (page,) = domains["Domains"]["PageData"]
    assert (page["DomainName"], page["DomainStatus"]) == ("chat.example.com", "online")
    (config,) = configs["DomainConfigs"]["DomainConfig"]
    arguments = {each["ArgName"]: each["ArgValue"] for each in config["FunctionArgs"]["FunctionArg"]}
    assert arguments == {"enabled": "on", "heartbeat": "45", "origin_scheme": "https"}


def _check_codes(codes: Any) -> None:
    first, idle = codes["HttpCodeDataPerInterval"]["DataModule"]
    assert first["WebsocketHttpCode"]["HttpCodeDataModule"] == [
        {"Code": 101, "Count": 9, "Proportion": 90},
        {"Code": 502, "Count": 1, "Proportion": 10},
    ]
    assert idle["WebsocketHttpCode"]["HttpCodeDataModule"] == []


def test_the_official_sdks_understand_every_error(program: Program) -> None:
    """Code and status arrive in their exceptions; the old one says that its own secret is wrong."""
    calls: list[tuple[str, dict[str, Any]]] = [
        (TRAFFIC, {"DomainName": "b.example"}),
        (TRAFFIC, {"StartTime": "2026-01-01T00:00:00Z"}),
        (CODES, {}),
        ("DescribeDcdnDomainRegionData", {}),
    ]
    expected = [
        "InvalidDomain.NotFound",
        "MissingTimeParameter",
        "MissingDomainName",
        "InvalidAction.NotFound",
    ]
    found = sdk_calls(program.rpc.port, KEY, *((sdk, *call) for sdk in ("old", "new") for call in calls))
    assert [one["error"]["code"] for one in found] == expected * 2
    assert [one["error"]["status"] for one in found] == [404, 400, 400, 404] * 2
    assert {one["error"]["kind"] for one in found} == {"ServerException", "ClientException"}
    wrong = sdk_calls(
        program.rpc.port, (KEY[0], "not-the-secret-at-all"), *((sdk, BPS, CHAT) for sdk in SDKS)
    )
    codes = [one["error"]["code"] for one in wrong]
    assert codes == ["InvalidAccessKeySecret", "SignatureDoesNotMatch", "SignatureDoesNotMatch"]
    nobody = sdk_calls(program.rpc.port, ("LTAI5tNobody", KEY[1]), *((sdk, BPS, CHAT) for sdk in SDKS))
    assert [one["error"]["code"] for one in nobody] == ["InvalidAccessKeyId.NotFound"] * 3
    assert json.dumps(found + wrong + nobody).count(KEY[1]) == 0
