"""One request of the RPC: what is verified, in which order, and the form of each answer."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from support.statistics.application import NOW, MemoryLedger
from support.statistics.build import directory_message
from support.statistics.dcdn import acs3_headers, plus_form, rpc_parameters, time_stamp
from support.statistics.rpc_application import KEY, OFF, OTHER, TWO_KEYS, call, keys_of, rpc_over, send
from support.statistics.secrets import key_secret
from wsedge_statistics.dcdn.rpc import MAX_BODY, by_port
from wsedge_statistics.errors import LedgerBusyError, LedgerDeadlineError

SERVICE = "DescribeDcdnService"
DOMAINS = "DescribeDcdnUserDomains"


async def test_an_answer_has_the_id_of_its_request() -> None:
    """An upper-case UUID, in body and header; no cache keeps it."""
    answer = await call(rpc_over(), SERVICE)
    assert answer.status == 200
    assert re.fullmatch(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", answer.json["RequestId"])
    assert answer.headers["x-acs-request-id"] == answer.json["RequestId"]
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_key_belongs_to_the_account_of_its_secret() -> None:
    """Each key reads its own account's domains."""
    rpc = rpc_over()
    for key, domain in ((KEY, "chat.example.com"), (OTHER, "b.example")):
        listed = (await call(rpc, DOMAINS, key)).json["Domains"]["PageData"]
        assert [each["DomainName"] for each in listed] == [domain]


def shifted(**back: float) -> str:
    return time_stamp(NOW - timedelta(**back))


@dataclass(frozen=True)
class Refusal:
    status: int
    code: str
    key: tuple[str, str] = KEY
    changes: tuple[tuple[str, str], ...] = ()
    action: str = SERVICE


REFUSED = {
    "an unknown key": Refusal(404, "InvalidAccessKeyId.NotFound", key=("LTAI5nobody", KEY[1])),
    "a disabled key": Refusal(400, "InvalidAccessKeyId.Inactive", key=OFF),
    "another account's secret": Refusal(400, "SignatureDoesNotMatch", key=(KEY[0], OTHER[1])),
    "a timestamp of 16 minutes ago": Refusal(
        400, "InvalidTimeStamp.Expired", changes=(("Timestamp", shifted(minutes=16)),)
    ),
    "a timestamp of 16 minutes ahead": Refusal(
        400, "InvalidTimeStamp.Expired", changes=(("Timestamp", shifted(minutes=-16)),)
    ),
    "a timestamp in words": Refusal(400, "InvalidTimeStamp.Format", changes=(("Timestamp", "now"),)),
    "another version": Refusal(400, "InvalidVersion", changes=(("Version", "2018-05-10"),)),
    "an operation that is not served": Refusal(404, "InvalidAction.NotFound", action="DeleteDcdnDomain"),
    "an operation in other letters": Refusal(404, "InvalidAction.NotFound", action=SERVICE.lower()),
    "no operation": Refusal(400, "MissingAction", action=""),
}


@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused_answers_as_the_original(refusal: Refusal) -> None:
    """Status, code and the four fields of an error."""
    answer = await call(rpc_over(), refusal.action, refusal.key, dict(refusal.changes))
    assert (answer.status, answer.json["Code"]) == (refusal.status, refusal.code)
    assert set(answer.json) == {"RequestId", "HostId", "Code", "Message"}
    assert answer.json["HostId"] == "dcdn.example:8090"
    assert KEY[1] not in answer.text.decode()


@pytest.mark.parametrize("minutes", [-15, 0, 15])
async def test_a_timestamp_may_differ_by_15_minutes(minutes: int) -> None:
    """The bound of the original."""
    assert (await call(rpc_over(), SERVICE, Timestamp=shifted(minutes=minutes))).status == 200


async def test_a_wrong_signature_tells_what_was_to_be_signed() -> None:
    """The old SDK needs the colon, and compares the text after it."""
    pairs = rpc_parameters(SERVICE, KEY, more={"Timestamp": time_stamp(NOW)})
    answer = await send(rpc_over(), "POST", f"/?{plus_form({**pairs, 'Signature': 'x'})}")
    first, _, text = answer.json["Message"].partition(":")
    assert first.endswith("server string to sign is")
    assert text.startswith("POST&%2F&AccessKeyId%3DLTAI5owner%26Action%3DDescribeDcdnService")


async def test_a_nonce_is_taken_once_and_only_by_a_valid_request() -> None:
    """A refused request uses up nothing of the key's owner; a changed key or form is the same nonce's."""
    rpc, nonce = rpc_over(), {"SignatureNonce": "one"}
    assert (await call(rpc, SERVICE, (KEY[0], "w" * 16), nonce)).json["Code"] == "SignatureDoesNotMatch"
    assert (await call(rpc, SERVICE, KEY, nonce)).status == 200
    again = await call(rpc, DOMAINS, KEY, nonce)
    assert (again.status, again.json["Code"]) == (400, "SignatureNonceUsed")
    changes = {"x-acs-date": time_stamp(NOW), "x-acs-signature-nonce": "one"}
    again = await send(rpc, "POST", "/", headers=acs3_headers(SERVICE, KEY, "h", changes=changes))
    assert again.json["Code"] == "SignatureNonceUsed"
    assert (await call(rpc, SERVICE, OTHER, nonce)).status == 200


async def test_an_account_is_throttled_with_the_time_until_the_next_call() -> None:
    """30 calls of one operation in a second; the SDKs' header is in milliseconds."""
    rpc = rpc_over()
    answers = [await call(rpc, SERVICE) for _ in range(31)]
    assert [answer.status for answer in answers] == [200] * 30 + [503]
    last = answers[-1]
    assert last.json["Code"] == "Throttling"
    assert (last.headers["x-acs-retry-after"], last.headers["retry-after"]) == ("34", "1")
    assert (await call(rpc, SERVICE, OTHER)).status == 200
    assert (await call(rpc, DOMAINS)).status == 200


async def test_of_two_keys_with_one_id_the_signature_decides() -> None:
    """A stranger who names an id of another account gets her own account, and takes nothing away."""
    stranger = key_secret("team-b", {KEY[0]: "a_strangers_secret"}, creationTimestamp="2025-01-01T00:00:00Z")
    rpc = rpc_over(keys=keys_of(key_secret("team-a", dict([KEY])), stranger))
    for secret, domain in ((KEY[1], "chat.example.com"), ("a_strangers_secret", "b.example")):
        listed = (await call(rpc, DOMAINS, (KEY[0], secret))).json["Domains"]["PageData"]
        assert [each["DomainName"] for each in listed] == [domain]


async def test_a_copied_key_belongs_to_the_older_secret() -> None:
    """Also when the copy comes first in the alphabet."""
    copy = key_secret("team-a", dict([OTHER]), creationTimestamp="2026-02-01T00:00:00Z")
    rpc = rpc_over(keys=keys_of(copy, key_secret("team-b", dict([OTHER]))))
    assert (await call(rpc, DOMAINS, OTHER)).json["Domains"]["PageData"][0]["DomainName"] == "b.example"


async def test_a_key_of_a_namespace_that_was_made_again_is_unknown() -> None:
    """A Secret of the former life, which the watch has not removed yet, opens nothing of the new one."""
    ledger = MemoryLedger()
    lives = {"team-a": {"uid": "1111", "since": "2025-01-01T00:00:00Z"}}
    ledger.put_directory(directory_message(lives=lives))
    again = {"team-a": {"uid": "2222", "since": "2026-03-01T00:00:00Z"}}
    second = directory_message(lives=again, written_at="2026-03-01T00:00:01Z")
    rpc = rpc_over(ledger, second)
    answer = await call(rpc, DOMAINS)
    assert (answer.status, answer.json["Code"]) == (404, "InvalidAccessKeyId.NotFound")
    fresh = keys_of(key_secret("team-a", dict([KEY]), creationTimestamp="2026-03-01T00:00:00Z"))
    assert (await call(rpc_over(ledger, second, keys=fresh), DOMAINS)).status == 200


@pytest.mark.parametrize("action", [SERVICE, "DescribeDcdnUserBillType"])
async def test_terms_of_a_former_namespace_are_not_told_to_a_stale_key(action: str) -> None:
    """They are of the Directory, and checked like counts."""
    ledger = MemoryLedger()
    ledger.put_directory(
        directory_message(lives={"team-a": {"uid": "1111", "since": "2025-01-01T00:00:00Z"}})
    )
    second = directory_message(
        lives={"team-a": {"uid": "2222", "since": "2026-03-01T00:00:00Z"}}, written_at="2026-03-01T00:00:01Z"
    )
    bounds = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-02-01T00:00:00Z"}
    rpc = rpc_over(ledger, second)
    assert (await call(rpc, action, **bounds)).json["Code"] == "InvalidAccessKeyId.NotFound"
    # A key of a life that the Directory does not know yet reads nothing of the former one either.
    unnamed = keys_of(key_secret("team-a", dict([KEY]), creationTimestamp="2026-06-01T00:00:00Z"))
    gone = {"team-a": {"uid": "2222", "since": "2026-03-01T00:00:00Z", "until": "2026-05-01T00:00:00Z"}}
    last = directory_message(lives=gone, written_at="2026-05-01T00:00:00Z")
    assert (await call(rpc_over(ledger, last, keys=unnamed), action, **bounds)).json[
        "Code"
    ] == "DcdnServiceNotFound"


async def test_before_the_keys_are_read_nothing_is_known_of_them() -> None:
    """A program that starts does not say of a valid key that it does not exist."""
    answer = await call(rpc_over(keys=None), SERVICE)
    assert (answer.status, answer.json["Code"]) == (503, "ServiceUnavailable")
    assert answer.headers["retry-after"] == "5"


async def test_the_three_forms_have_one_answer() -> None:
    """Query, form body, headers; GET and POST."""
    rpc, name = rpc_over(), {"DomainName": "chat.example.com"}
    common = {"Timestamp": time_stamp(NOW)}
    pairs = rpc_parameters(DOMAINS, KEY, "GET", {**common, **name})
    found = [await send(rpc, "GET", f"/?{plus_form(pairs)}")]
    pairs = rpc_parameters(DOMAINS, KEY, "POST", {**common, **name})
    body = {"DomainName": pairs.pop("DomainName")}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    found.append(await send(rpc, "POST", f"/?{plus_form(pairs)}", plus_form(body).encode(), form))
    headers = acs3_headers(DOMAINS, KEY, "h", name, changes={"x-acs-date": time_stamp(NOW)})
    found.append(await send(rpc, "POST", f"/?{plus_form(name)}", headers=headers))
    assert [answer.status for answer in found] == [200] * 3
    trees = [{**answer.json, "RequestId": ""} for answer in found]
    assert trees[0] == trees[1] == trees[2]
    assert trees[0]["TotalCount"] == 1


async def test_without_a_format_the_answer_is_xml() -> None:
    """As the original's; errors too."""
    rpc = rpc_over()
    answer = await call(rpc, SERVICE, Format="")
    assert answer.headers["content-type"] == "text/xml;charset=utf-8"
    root = ET.fromstring(answer.text)
    assert (root.tag, root.findtext("WebsocketType")) == (f"{SERVICE}Response", "websocketbps")
    error = ET.fromstring((await call(rpc, SERVICE, (KEY[0], "w" * 16), {"Format": "XML"})).text)
    assert (error.tag, error.findtext("Code")) == ("Error", "SignatureDoesNotMatch")
    assert [part.tag for part in error] == ["RequestId", "HostId", "Code", "Message"]


UNREADABLE: dict[str, tuple[str, str, int, str]] = {
    "another method": ("DELETE", "/", 405, "UnsupportedHTTPMethod"),
    "another path": ("POST", "/v1/traffic", 404, "InvalidAction.NotFound"),
    "a name twice": ("POST", "/?A=1&A=2", 400, "InvalidParameter"),
    "nothing": ("GET", "/", 400, "MissingAction"),
}


@pytest.mark.parametrize(("method", "path", "status", "code"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("asks", ["query", "Accept", "not"])
async def test_a_request_that_cannot_be_read_is_answered_in_its_form(
    method: str, path: str, status: int, code: str, asks: str
) -> None:
    """An SDK that gets XML in place of JSON hides the cause."""
    more = f"{'&' if '?' in path else '?'}Format=JSON" if asks == "query" else ""
    accept = {"Accept": "application/json"} if asks == "Accept" else {}
    answer = await send(rpc_over(), method, path + more, headers={"Host": "a b", **accept})
    assert answer.status == status
    if asks == "not":
        assert ET.fromstring(answer.text).findtext("Code") == code
    else:
        assert (answer.json["Code"], answer.json["HostId"]) == (code, "unknown")


async def test_a_body_is_bounded() -> None:
    """In size; and a body that is cut off is told to nobody, but ends."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    large = await send(rpc_over(), "POST", "/", b"a=" + b"x" * MAX_BODY, form)
    assert (large.status, large.json["Code"]) == (413, "RequestTooLarge")
    fits = await send(rpc_over(), "POST", "/", b"a=" + b"x" * (MAX_BODY - 2), form)
    assert fits.json["Code"] == "MissingAction"
    cut = await send(rpc_over(), "POST", "/", headers=form, messages=[{"type": "http.disconnect"}])
    assert cut.json["Code"] == "InvalidParameter"


async def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection of a client that sends nothing does not stay."""
    from wsedge_statistics.dcdn import rpc as module

    monkeypatch.setattr(module, "READ_SECONDS", 0.01)
    sent: list[Any] = []

    async def silence() -> Any:
        await asyncio.Event().wait()

    async def take(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await rpc_over()(scope, silence, take)
    assert sent[0]["status"] == 408


async def test_a_ledger_that_is_busy_is_a_failure_of_the_moment() -> None:
    """Its text is for the log."""

    class Busy(MemoryLedger):
        def seen(self, account: str | None) -> Any:
            raise LedgerBusyError("reads wait")

    answer = await call(rpc_over(Busy()), DOMAINS)
    assert (answer.status, answer.json["Code"]) == (503, "ServiceUnavailable")
    assert "reads wait" not in answer.text.decode()


async def test_a_question_that_is_stopped_tells_what_to_narrow() -> None:
    """The client sees why, and may ask for less."""

    class Slow(MemoryLedger):
        def seen(self, account: str | None) -> Any:
            raise LedgerDeadlineError(10)

    answer = await call(rpc_over(Slow()), DOMAINS)
    assert (answer.status, answer.json["Code"]) == (503, "ServiceUnavailable")
    assert "Ask for a shorter span" in answer.json["Message"]


async def test_a_defect_has_the_form_of_an_answer_and_is_logged() -> None:
    """500, without its text."""

    class Broken(MemoryLedger):
        def seen(self, account: str | None) -> Any:
            raise ZeroDivisionError("a defect")

    answer = await call(rpc_over(Broken()), DOMAINS)
    assert (answer.status, answer.json["Code"]) == (500, "InternalError")
    assert "a defect" not in answer.text.decode()


async def test_calls_are_counted_by_operation_and_code() -> None:
    """No name that a client invents becomes a label."""
    rpc = rpc_over()
    await call(rpc, SERVICE)
    await call(rpc, SERVICE, ("LTAI5nobody", "w" * 16))
    await call(rpc, "Invented")
    text = rpc.services.metrics.text().decode()
    counted = set(re.findall(r"^wsedge_statistics_rpc_calls_total\{(.*)\} 1.0$", text, re.MULTILINE))
    assert counted == {
        'action="DescribeDcdnService",code="OK"',
        'action="DescribeDcdnService",code="InvalidAccessKeyId.NotFound"',
        'action="other",code="InvalidAction.NotFound"',
    }


async def test_a_port_has_its_own_application() -> None:
    """The connection's local port decides, whatever the Host header says."""
    called: list[str] = []

    def named(name: str) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            called.append(name)

        return application

    both = by_port(named("native"), named("rpc"), 8090)
    for scope in (
        {"type": "http", "server": ("10.0.0.1", 8090)},
        {"type": "http", "server": ("10.0.0.1", 8080), "headers": [(b"host", b"x:8090")]},
        {"type": "http", "server": None},
        {"type": "lifespan"},
    ):
        await both(scope, None, None)  # type: ignore[arg-type]
    assert called == ["rpc", "native", "native", "native"]
    assert len(TWO_KEYS) == 3
