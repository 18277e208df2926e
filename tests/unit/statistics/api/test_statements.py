"""/v1/statements: the list, one statement as JSON, CSV and a page, and who may read them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from support.statistics.application import request
from support.statistics.build import seconds
from support.statistics.desk import GB, Desk, terms
from support.statistics.process import Answer
from wsedge_statistics.api.statement_page import page_of
from wsedge_statistics.app import build
from wsedge_statistics.billing.document import read_document
from wsedge_statistics.errors import ForbiddenError
from wsedge_statistics.identity.callers import Caller, Policy
from wsedge_statistics.ledger import StoredStatement
from wsedge_statistics.statements.reading import account_of


async def get(desk: Desk, path: str, **parameters: Any) -> Answer:
    return await request(build(desk.services), "GET", path, **{"account": "team-a"} | parameters)


def june(method: str = "Traffic", **fields: Any) -> Desk:
    """June is closed, July runs; 5 bytes and 7 bytes on two days of June."""
    desk = Desk(terms(method, **fields))
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.count("2026-06-04T00:00:00Z", 7)
    desk.at("2026-07-02T00:00:00Z")
    return desk


async def test_the_list_has_the_running_month_and_the_closed_ones() -> None:
    """The latest first; an open one has no figures in the list."""
    answer = await get(june(), "/v1/statements")
    assert answer.status == 200
    assert answer.json == {
        "account": "team-a",
        "statements": [
            {
                "period": "2026-07",
                "state": "Open",
                "start": "2026-07-01T00:00:00Z",
                "end": "2026-08-01T00:00:00Z",
                "closesAfter": "2026-08-02T00:00:00Z",
                "closedAt": None,
                "lines": None,
                "adjustments": None,
                "currency": None,
                "amount": None,
            },
            {
                "period": "2026-06",
                "state": "Closed",
                "start": "2026-06-01T00:00:00Z",
                "end": "2026-07-01T00:00:00Z",
                "closesAfter": "2026-07-02T00:00:00Z",
                "closedAt": "2026-07-02T00:00:00Z",
                "lines": 1,
                "adjustments": 0,
                "currency": None,
                "amount": None,
            },
        ],
        "next": None,
    }


async def test_the_list_has_pages() -> None:
    """`next` of a page is the cursor of the following one; all pages together are the list."""
    desk = Desk(terms(cycle="Daily"))
    desk.count("2026-06-01T00:00:00Z", 5)
    desk.at("2026-06-08T00:00:00Z")
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await get(desk, "/v1/statements", limit=3, **cursor)).json
        assert len(page["statements"]) <= 3
        found += [each["period"] for each in page["statements"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == [f"2026-06-0{day}" for day in range(8, 0, -1)]


async def test_a_cursor_that_is_none_is_refused() -> None:
    """A name that the list does not have would begin anywhere."""
    answer = await get(june(), "/v1/statements", cursor="2026-01")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "cursor")


async def test_a_closed_statement_is_returned_as_it_was_stored() -> None:
    """The same bytes, also when the settings changed since."""
    desk = june()
    (stored,) = desk.ledger.statements("team-a")
    desk.changed(rules=replace(desk.services.billing.rules, gb_base=1000))
    answer = await get(desk, "/v1/statements/2026-06")
    assert answer.text.decode() == stored.body
    assert answer.headers["content-type"] == "application/json"


async def test_the_running_month_is_shown_so_far_with_a_forecast() -> None:
    """`current` and its name are the same: what is counted so far, and what to expect."""
    desk = june()
    desk.count("2026-07-01T00:00:00Z", 3 * GB)
    answer = await get(desk, "/v1/statements/current")
    assert answer.json == (await get(desk, "/v1/statements/2026-07")).json
    (line,) = answer.json["lines"]
    assert (answer.json["state"], answer.json["completeUntil"]) == ("Open", "2026-07-01T23:55:00Z")
    assert (line["quantity"], line["values"]) == ("3.000000000", 287)
    assert line["forecast"]["quantity"] == format(3 * 31 * 288 / 287, ".9f")


async def test_the_running_month_shows_the_adjustments_that_it_would_have() -> None:
    """Late counts of June show before July closes."""
    desk = june()
    desk.count("2026-06-05T00:00:00Z", 9, epoch="aaaa0000")
    answer = await get(desk, "/v1/statements/2026-07")
    (adjusted,) = answer.json["adjustments"]
    assert (adjusted["period"], adjusted["closed"]["bytes"], adjusted["new"]["bytes"]) == ("2026-06", 12, 21)


UNKNOWN = ["2026-05", "2026-08", "2026-06-03", "never", "2025-12"]


@pytest.mark.parametrize("name", UNKNOWN)
async def test_a_period_without_a_statement_is_not_found(name: str) -> None:
    """Before the first count, after now, of the other cycle, or no name at all."""
    answer = await get(june(), f"/v1/statements/{name}")
    assert (answer.status, answer.json["type"]) == (404, "urn:wsedge:problem:unknown-statement")


async def test_an_account_without_terms_has_no_current_statement() -> None:
    """The plan ended: the list has what was closed."""
    desk = june(end="2026-07-01T00:00:00Z")
    assert (await get(desk, "/v1/statements/current")).status == 404
    assert [each["period"] for each in (await get(desk, "/v1/statements")).json["statements"]] == ["2026-06"]


async def test_statements_are_of_one_account() -> None:
    """Who may read every account names one."""
    answer = await request(build(june().services), "GET", "/v1/statements")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "account")


async def test_a_former_account_has_its_own_statements() -> None:
    """The successor's terms make no statement of its predecessor."""
    desk = june()
    desk.ledger.put_statement(
        StoredStatement("team-a@1a2b3c4d", "2026-05", 1, desk.now, desk.ledger.statements("team-a")[0].body)
    )
    answer = await get(desk, "/v1/statements", account="team-a@1a2b3c4d")
    assert [each["state"] for each in answer.json["statements"]] == ["Closed"]


MADE_AGAIN = "2026-07-05T10:00:00Z"


def two_lives() -> Desk:
    """Team-a is made again in July: both lives counted in it, and June of the former one is closed."""
    desk = Desk()
    desk.lives = {"team_a": {"uid": "11111111-life", "since": "2026-01-01T00:00:00Z"}}
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at("2026-07-02T00:00:00Z")
    desk.count("2026-07-02T00:00:00Z", 7)
    desk.made_again("22222222-life", MADE_AGAIN, terms(start=MADE_AGAIN))
    desk.count(MADE_AGAIN, 9, epoch="aaaa0000")
    desk.at("2026-07-06T00:00:00Z")
    return desk


async def test_an_administrator_reads_the_open_statement_of_a_former_life() -> None:
    """As NAME@UID, with its own bytes; the plain name is the new life."""
    desk = two_lives()
    found = {}
    for name in ("team-a@11111111", "team-a"):
        listed = (await get(desk, "/v1/statements", account=name)).json
        assert listed["account"] == name
        document = (await get(desk, "/v1/statements/2026-07", account=name)).json
        assert (document["account"], document["state"]) == (name, "Open")
        found[name] = (
            [each["period"] for each in listed["statements"]],
            [line["bytes"] for line in document["lines"]],
        )
    assert found == {"team-a@11111111": (["2026-07", "2026-06"], [7]), "team-a": (["2026-07"], [9])}
    former = await get(desk, "/v1/statements/current", account="team-a@11111111")
    assert former.status == 404  # no period of it contains now


def test_a_tenant_sees_nothing_of_a_former_life() -> None:
    """Neither by its plain name nor by the life's."""
    services = two_lives().services
    tenant = Caller("system:serviceaccount:team-a:reader", "team-a", issued=services.clock())
    mine = account_of(services, tenant, None)
    assert (mine.name, mine.key) == ("team-a", "team-a@22222222")
    assert [span.slots.start for span in mine.spans] == [seconds(MADE_AGAIN)]
    with pytest.raises(ForbiddenError):
        account_of(services, tenant, "team-a@11111111")


def rows(answer: Answer) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text.decode(), newline="")))


async def test_a_figure_can_be_recomputed_from_the_csv() -> None:
    """All 8640 values, zeros included: drop 432 of them in descending order, and the next is the line's."""
    desk = Desk(terms("Month95Bandwidth", zone="Asia/Shanghai"))
    for day in range(1, 30):
        for hour in range(24):
            desk.count(f"2026-06-{day:02}T{hour:02}:00:00Z", 1000 * day + hour)
    desk.at("2026-07-02T00:00:00Z")
    answer = await get(desk, "/v1/statements/2026-06", format="csv")
    (line,) = json.loads(desk.ledger.statements("team-a")[0].body)["lines"]
    values = sorted((int(each["bytes"]) for each in rows(answer)), reverse=True)
    assert (len(values), len(values) // 20) == (line["values"], line["dropped"]) == (8640, 432)
    assert values[432] == line["deciding"][0]["bytes"]
    assert sum(values) == line["bytes"]
    assert rows(answer)[0] == {
        "start": "2026-05-31T16:00:00Z",
        "localTime": "2026-06-01T00:00+08:00",
        "day": "2026-06-01",
        "timeZone": "Asia/Shanghai",
        "method": "Month95Bandwidth",
        "area": "CN",
        "bytes": "0",
        "bitsPerSecond": "0.000",
    }
    assert answer.headers["content-disposition"] == 'attachment; filename="statement-2026-06.csv"'


async def test_integers_can_be_text() -> None:
    """In JSON for JavaScript, in the CSV for spreadsheets."""
    desk = june()
    answer = await get(desk, "/v1/statements/2026-06", numbers="text")
    assert answer.json["lines"][0]["bytes"] == "12"
    found = rows(await get(desk, "/v1/statements/2026-06", format="csv", numbers="text"))
    assert (found[576]["start"], found[576]["bytes"]) == ("2026-06-03T00:00:00Z", "'5")


async def test_the_csv_of_a_closed_statement_has_the_values_of_its_closing() -> None:
    """Late counts after the closing change no value of it, those within the same five minutes included."""
    desk = Desk()
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at("2026-07-01T23:59:00Z")
    desk.count("2026-06-03T00:00:00Z", 6)  # one more byte, before the closing
    desk.at("2026-07-02T00:00:00Z")
    desk.count("2026-06-03T00:00:00Z", 16)  # ten more, within the same five minutes
    desk.now = desk.now.replace(day=9)
    desk.count("2026-06-03T00:00:00Z", 116)
    desk.count("2026-06-04T00:00:00Z", 9, area="EU")
    found = rows(await get(desk, "/v1/statements/2026-06", format="csv"))
    assert sum(int(each["bytes"]) for each in found) == 6
    assert {each["area"] for each in found} == {"CN"}


async def test_a_supplement_is_listed_and_has_no_values() -> None:
    """Adjustments after the last statement of an ended account: a name of its own, and an empty CSV."""
    desk = june(end="2026-07-01T00:00:00Z")
    desk.at("2026-07-10T00:00:00Z")
    desk.count("2026-06-05T00:00:00Z", 9, epoch="aaaa0000")
    desk.at("2026-07-12T00:00:00Z")
    listed = (await get(desk, "/v1/statements")).json["statements"]
    assert [each["period"] for each in listed] == ["2026-06.1", "2026-06"]
    assert rows(await get(desk, "/v1/statements/2026-06.1", format="csv")) == []
    assert (await get(desk, "/v1/statements/2026-06.1")).json["adjustments"][0]["lateBytes"] == 9


async def test_the_csv_of_the_running_month_ends_where_counts_are_complete() -> None:
    """A row per complete slot so far."""
    found = rows(await get(june(), "/v1/statements/current", format="csv"))
    assert (found[-1]["start"], len(found)) == ("2026-07-01T23:50:00Z", 287)


async def test_values_that_are_deleted_are_not_shown_as_zeros() -> None:
    """Two years later the statement is there, and its CSV is refused with the reason."""
    desk = june()
    desk.now = desk.now.replace(year=2028)
    answer = await get(desk, "/v1/statements/2026-06", format="csv")
    assert (answer.status, answer.json["errors"][0]["allowed"]) == (400, "json or html")
    assert (await get(desk, "/v1/statements/2026-06")).status == 200


READERS = {
    "of the account": (Caller("system:serviceaccount:team-a:reader", "team-a"), None, "team-a"),
    "of the account, by its name": (
        Caller("system:serviceaccount:team-a:reader", "team-a"),
        "team-a",
        "team-a",
    ),
    "an administrator": (Caller("system:serviceaccount:ops:admin", "ops"), "team-a", "team-a"),
    "of another account": (Caller("system:serviceaccount:team-b:reader", "team-b"), "team-a", None),
}


@pytest.mark.parametrize(("caller", "asked", "account"), READERS.values(), ids=READERS.keys())
def test_who_may_read_statements(caller: Caller, asked: str | None, account: str | None) -> None:
    """Own statements, and all of them for an administrator."""
    services = june().services
    services.policy = Policy(admins=frozenset({"system:serviceaccount:ops:admin"}))
    if account is not None:
        assert account_of(services, caller, asked).key == account
        return
    with pytest.raises(ForbiddenError, match="team-b"):
        account_of(services, caller, asked)


async def test_slots_of_other_terms_are_no_rows() -> None:
    """From Shanghai to UTC at the month's end: the new terms have eight hours of the last day."""
    change = "2026-06-30T16:00:00Z"
    desk = Desk(terms(zone="Asia/Shanghai", end=change), terms(start=change))
    desk.count("2026-06-03T00:00:00Z", 5)
    desk.at("2026-07-02T00:00:00Z")
    found = rows(await get(desk, "/v1/statements/2026-06", format="csv"))
    by_zone = {
        zone: [each for each in found if each["timeZone"] == zone] for zone in ("Asia/Shanghai", "UTC")
    }
    assert {zone: len(each) for zone, each in by_zone.items()} == {"Asia/Shanghai": 8640, "UTC": 96}


async def test_the_page_has_no_script_and_shows_the_line() -> None:
    """A browser may neither run nor load anything."""
    answer = await get(june(), "/v1/statements/2026-06", format="html")
    page = answer.text.decode()
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in page
    assert "Statement 2026-06, account team-a" in page
    assert "12, of which 0 late" in page


async def test_the_page_shows_money_forecast_and_adjustments(tmp_path: Any) -> None:
    """Prices by tier with their hour, the forecast's basis, and both figures of an adjustment."""
    book = tmp_path / "prices.json"
    book.write_text(
        '{"currency": "CNY", "prices": ['
        '{"method": "Traffic", "tiers": [{"upTo": 1, "price": 2}, {"price": 1}]}]}'
    )
    desk = Desk(prices=book)
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at("2026-07-02T00:00:00Z")
    desk.count("2026-06-05T00:00:00Z", GB, epoch="aaaa0000")
    desk.count("2026-07-01T00:00:00Z", GB)
    page = (await get(desk, "/v1/statements/current", format="html")).text.decode()
    assert "1.000000000 GB at 2, from 2026-07-01T00:00:00Z" in page
    assert "The rest of the period has as many bytes per five minutes" in page
    assert "1.000000000 GB, 1073741824 bytes, 2.00 CNY (statement 2026-06)" in page
    assert "2.000000000 GB, 2147483648 bytes, 3.00 CNY (statement 2026-07)" in page


async def test_everything_on_the_page_is_escaped() -> None:
    """Whatever text a stored statement has, it is text on the page."""
    stored = june().ledger.statements("team-a")[0].body
    hostile = "<img src=x onerror=alert(1)>\"'&"
    document = json.loads(stored) | {"account": hostile, "currency": hostile, "amount": "1.00"}
    document["lines"][0] |= {"area": hostile, "timeZone": hostile, "csv": hostile, "period": hostile}
    page = page_of(read_document(json.dumps(document)))
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;" in page


async def test_a_night_slot_and_a_percentile_show_on_the_page() -> None:
    """A bandwidth line has its deciding slot and bits per second."""
    desk = Desk(terms("DailyPeakBandwidth", cycle="Daily"))
    desk.count("2026-06-01T00:00:00Z", 37_500_000)
    desk.at("2026-06-03T00:00:00Z")
    page = (await get(desk, "/v1/statements/2026-06-01", format="html")).text.decode()
    assert "2026-06-01T00:00:00Z: 37500000 bytes, 1000000.000 bit/s" in page


async def test_a_broken_price_book_shows_the_running_month_without_prices(tmp_path: Any) -> None:
    """Reading goes on; closing waits."""
    book = tmp_path / "prices.json"
    book.write_text("{")
    desk = Desk(prices=book)
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.at("2026-06-04T00:00:00Z")
    answer = await get(desk, "/v1/statements/current")
    assert (answer.status, answer.json["amount"]) == (200, None)


async def test_an_unknown_zone_is_told_and_is_no_defect() -> None:
    """A newer operator sent a newer zone: the statements wait for a newer program."""
    desk = Desk(terms(zone="Mars/Olympus"))
    desk.count("2026-06-03T00:00:00Z", GB)
    desk.now = desk.now.replace(month=6, day=5)
    for path in ("/v1/statements", "/v1/statements/current"):
        answer = await get(desk, path)
        assert (answer.status, answer.json["type"]) == (503, "urn:wsedge:problem:statements-unavailable")
        assert "Mars/Olympus" in answer.json["detail"]


async def test_the_description_has_the_forms_of_a_statement() -> None:
    """JSON with a schema, CSV and HTML."""
    document = build(None).openapi()["paths"]["/v1/statements/{period}"]["get"]["responses"]["200"]["content"]
    assert set(document) == {"application/json", "text/csv", "text/html"}
    assert document["application/json"]["schema"] == {"$ref": "#/components/schemas/StatementDocument"}
