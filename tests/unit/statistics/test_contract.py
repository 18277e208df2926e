"""The messages that the statistics accept."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support.statistics.build import directory, instant, report, row, usage
from wsedge_statistics import contract
from wsedge_statistics.contract import MOST_COUNT, Directory, Message, UsageReport, bucket_of, read

BUCKETS = {
    "off the grid": ("2026-06-01T10:01:00Z", "must start on a whole five minutes"),
    "in another zone": ("2026-06-01T18:00:00+08:00", "must be in UTC"),
    "without a zone": ("2026-06-01T10:00:00", "timezone"),
}


@pytest.mark.parametrize(("bucket", "text"), BUCKETS.values(), ids=BUCKETS.keys())
def test_a_bucket_is_five_minutes_of_utc(bucket: str, text: str) -> None:
    """Any other bucket is refused with the rule."""
    with pytest.raises(ValidationError, match=text):
        usage(row(instant("2026-06-01T10:00:00Z")) | {"bucket": bucket})


def test_an_instant_lies_in_the_bucket_that_began_before_it() -> None:
    """bucket_of is the floor, also from another zone."""
    assert bucket_of(instant("2026-06-01T10:04:59.999999Z")) == instant("2026-06-01T10:00:00Z")
    assert bucket_of(instant("2026-06-01T18:05:00+08:00")) == instant("2026-06-01T10:05:00Z")


@pytest.mark.parametrize("name", ["*", "::1", "2001:db8::7", "_chat.my_app", "localhost", "192.0.2.7"])
def test_every_name_that_a_relay_may_serve_is_counted(name: str) -> None:
    """A relay outside a cluster may serve addresses and every name."""
    counted = row(instant("2026-06-01T10:00:00Z")) | {"domain": name}
    assert usage(counted).rows[0].domain == name


NO_NAMES = (
    "",
    "A.example",
    "a b",
    "*.example",
    "[::1]",
    "a.example:80",
    "-a",
    "a..b",
    ".a",
    "a.",
    "a.-b",
    "a-.b",
    f"{'a' * 64}.b",
    "1:2",
    ":",
    "1..::",
)


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_of_a_domain_is_refused(name: str) -> None:
    """Names are labels of answers and keys of the ledger."""
    with pytest.raises(ValidationError):
        usage(row(instant("2026-06-01T10:00:00Z")) | {"domain": name})


@pytest.mark.parametrize(
    "name", ["shanghai", "x", "level3", "local area network", "fareastone telecom", "A-b_c.d 3"]
)
def test_a_region_and_an_isp_have_one_word_or_more(name: str) -> None:
    """DCDN names some networks by several words."""
    counted = row(instant("2026-06-01T10:00:00Z"), region=name, isp=name)
    assert usage(counted).rows[0].isp == usage(counted).rows[0].region == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "a  b",
        "a\tb",
        "a\nb",
        "a\n",
        "a\u00a0b",
        "a\u2028b",
        "-a",
        "a -1",
        "=1+1",
        "a =1",
        "a,b",
        'a"',
        "a" * 65,
    ],
)
def test_no_name_of_a_region_breaks_a_line_a_field_or_a_formula(name: str) -> None:
    """Names become columns of tables and fields of logs."""
    with pytest.raises(ValidationError):
        usage(row(instant("2026-06-01T10:00:00Z"), region=name))


Change = Callable[[dict[str, Any]], Any]


def of_row(**fields: Any) -> tuple[type[Message], Change, str]:
    """A report whose row has these fields; the place of the fault is the last of them."""
    return UsageReport, lambda document: document["rows"][0].update(fields), f"rows.0.{list(fields)[-1]}"


def of_account(**fields: Any) -> tuple[type[Message], Change, str]:
    """A Directory whose account has these fields."""
    return Directory, lambda document: document["accounts"][0].update(fields), f"accounts.0.{[*fields][-1]}"


def of_domain(**fields: Any) -> tuple[type[Message], Change, str]:
    """A Directory whose domain has these fields."""
    return Directory, lambda document: document["domains"][0].update(fields), f"domains.0.{[*fields][-1]}"


REFUSED: dict[str, tuple[type[Message], Change, str]] = {
    "a count as text": of_row(sentBytes="12"),
    "true as a count": of_row(sentBytes=True),
    "a count with a fraction of zero": of_row(sentBytes=12.0),
    "a count that JSON readers disagree on": of_row(sentBytes=MOST_COUNT + 1),
    "a bucket in Unix seconds": of_row(bucket=1_780_308_000),
    "a bucket in Unix seconds as text": of_row(bucket="1780308000"),
    "a code's count as text": (UsageReport, lambda d: d["rows"][0]["codes"].update({"101": "1"}), ".101"),
    "a domain with an empty label": of_row(domain="a..b"),
    "true as the version": (UsageReport, lambda document: document.update(version=True), "version"),
    "1.0 as the version": (Directory, lambda document: document.update(version=1.0), "version"),
    "a Directory of Unix seconds": (Directory, lambda d: d.update(writtenAt=1_780_308_000), "writtenAt"),
    "an account since Unix seconds as text": of_account(since="1780308000"),
    "a domain of the Directory with an empty label": of_domain(domain="a..b"),
    "an interval as text": of_domain(heartbeatSeconds="60"),
    "a switch as text": of_domain(enabled="true"),
    "a switch as a number": of_domain(enabled=1),
}
DOCUMENTS: dict[type[Message], Callable[[], Any]] = {
    UsageReport: lambda: report(row(instant("2026-06-01T10:00:00Z"), codes={})),
    Directory: directory,
}


@pytest.mark.parametrize(("model", "change", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_a_value_of_another_form_is_refused(model: type[Message], change: Change, place: str) -> None:
    """The fault names the place; the same document without the change is accepted."""
    document = DOCUMENTS[model]()
    read(model, json.dumps(document).encode())
    change(document)
    with pytest.raises(ValidationError) as refused:
        read(model, json.dumps(document).encode())
    (fault,) = refused.value.errors()
    assert ".".join(map(str, fault["loc"])).endswith(place)


TWICE = {
    "in the report": '{"version": 1, "version": 1, "source": SOURCE, "rows": []}',
    "in a row": '{"version": 1, "source": SOURCE, "rows": [{ROW, "sentBytes": 1, "sentBytes": 2}]}',
    "in codes": '{"version": 1, "source": SOURCE, "rows": [{ROW, "codes": {"101": 1, "1\\u00301": 2}}]}',
    "in an unknown field": '{"version": 1, "source": SOURCE, "rows": [], "new": [{"a": 1, "a": 1}]}',
}
NAMES = {"in the report": "version", "in a row": "sentBytes", "in codes": "101"}


@pytest.mark.parametrize("case", TWICE)
def test_a_name_that_is_given_twice_is_refused(case: str) -> None:
    """Readers differ in which of the two values they take; the fault has the name."""
    source = json.dumps(report()["source"])
    counted = json.dumps(row(instant("2026-06-01T10:00:00Z"))).strip("{}")
    text = TWICE[case].replace("SOURCE", source).replace("ROW", counted)
    with pytest.raises(ValidationError) as refused:
        read(UsageReport, text.encode())
    (fault,) = refused.value.errors()
    assert (fault["loc"], fault["msg"]) == ((NAMES.get(case, "a"),), "given more than once in one object")


texts = st.sampled_from(["eu", "a b", "r\\u0065gion"])
parts = st.one_of(
    st.tuples(st.sampled_from(["region", "isp", "area"]), texts.map(lambda text: f'"{text}"')),
    st.tuples(st.sampled_from(["sentBytes", "peakConnections"]), st.sampled_from(["0", "7"])),
    st.tuples(st.just("codes"), st.sampled_from(["{}", '{"101": 1}', '{"101": 1, "403": 2}'])),
    st.tuples(st.just("codes"), st.just('{"101": 1, "101": 1}')),
    st.tuples(st.sampled_from(["bucket", "domain", "account"]), st.just(None)),
)
colons = st.sampled_from([":", " : "])


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(parts, colons), max_size=5), max_size=4),
    st.sampled_from(["", "null", '"eu"']),
)
def test_a_name_given_twice_is_found_in_any_text(counted: list[Any], cluster: str) -> None:
    """However it is written: the answer is that of a reader which keeps every name."""
    source = json.dumps(report()["source"])[:-1] + (f', "cluster" : {cluster}' if cluster else "") + "}"
    fixed = row(instant("2026-06-01T10:00:00Z"), domain="a.example")
    own = {name: json.dumps(fixed[name]) for name in ("bucket", "domain", "account")}
    texts = [
        "{"
        + ", ".join(
            [
                *(f'"{name}": {value}' for name, value in own.items()),
                *(f'"{name}"{colon}{value or own[name]}' for (name, value), colon in fields),
            ]
        )
        + "}"
        for fields in counted
    ]
    text = f'{{"version": 1, "source": {source}, "rows": [{", ".join(texts)}]}}'
    twice = []

    def each(pairs: list[tuple[str, Any]]) -> None:
        twice.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=each)
    if any(twice):
        with pytest.raises(ValidationError, match="given more than once"):
            read(UsageReport, text.encode())
    else:
        assert len(read(UsageReport, text.encode())[0].rows) == len(counted)


def test_reports_of_any_times_are_read() -> None:
    """Buckets that were read before are remembered; their number is bounded."""
    begun = instant("2026-06-01T00:00:00Z")
    for first in range(0, 2500, 500):
        buckets = [begun + timedelta(minutes=5 * n) for n in range(first, first + 500)]
        text = json.dumps(report(*(row(bucket) for bucket in buckets))).encode()
        message, _ = read(UsageReport, text)
        assert [counted.bucket for counted in message.rows] == buckets
    assert len(contract._BUCKETS) <= contract._MOST_BUCKETS


def test_odd_but_clear_messages_are_accepted() -> None:
    """The same name in several objects, the largest count, numbers of any length in unknown fields."""
    first = row(instant("2026-06-01T10:00:00Z"), sentBytes=MOST_COUNT, bucket_of_a_later_version=10**4000)
    text = json.dumps(report(first, row(instant("2026-06-01T10:05:00Z"))))
    message, unknown = read(UsageReport, text.replace("10:05:00Z", "10:05:00.000+00:00").encode())
    assert [counted.sentBytes for counted in message.rows] == [MOST_COUNT, 0]
    assert unknown == ("rows.0.bucket_of_a_later_version",)
