"""Names of places and networks as labels of the statistics."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from wsedge_relay.geo.labels import NOWHERE, Place, label, network, of_city, of_isp, of_xdb
from wsedge_relay.geo.xdb import XdbPlace
from wsedge_statistics.contract import Label

CHECK = TypeAdapter(Label)


@given(st.text(max_size=200))
def test_any_name_makes_a_label(name: str) -> None:
    """No name in a database makes a label that the statistics reject."""
    CHECK.validate_python(label(name))
    CHECK.validate_python(network(name))


TEXTS = st.text(max_size=80)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["iso_code", "names", "en"]), inner, max_size=3)
    ),
    max_leaves=6,
)
CITY_FIELDS = st.sampled_from(["country", "registered_country", "subdivisions"])


@given(st.builds(XdbPlace, TEXTS, TEXTS, TEXTS, TEXTS))
def test_any_record_of_an_xdb_file_makes_labels(found: XdbPlace) -> None:
    """Country codes too: the ledger rejects rows with invalid labels permanently."""
    for made in of_xdb(found):
        CHECK.validate_python(made)


@given(
    st.dictionaries(CITY_FIELDS, VALUES),
    st.dictionaries(st.sampled_from(["isp", "organization"]), VALUES),
)
def test_any_record_of_a_maxmind_file_makes_labels(city: dict[str, Any], isp: dict[str, Any]) -> None:
    """The values may have any type."""
    for made in of_city(city).filled(of_isp(isp)):
        CHECK.validate_python(made)


LABELS = {
    "Guangdong": "guangdong",
    "North Rhine-Westphalia": "north-rhine-westphalia",
    "São Paulo": "sao-paulo",
    "AT&T Services, Inc.": "at-t-services-inc",
    "": "unknown",
    "!?": "unknown",
    "谷歌": "xn--flw351e",
    "x" * 70: "x" * 64,
}


@pytest.mark.parametrize(("name", "made"), LABELS.items())
def test_names_become_labels(name: str, made: str) -> None:
    """Lower case, dashes, no accents; names in other scripts stay distinct."""
    assert label(name) == made


NETWORKS = {
    "电信": "telecom",
    "中国联通": "unicom",
    "移动": "mobile",
    "China Telecom Guangdong": "telecom",
    "CHINANET-BACKBONE": "telecom",
    "China Unicom China169 Network": "unicom",
    "China Mobile": "mobile",
    "Deutsche Telekom AG": "deutsche-telekom-ag",
}


@pytest.mark.parametrize(("name", "made"), NETWORKS.items())
def test_networks_have_one_label_in_every_database(name: str, made: str) -> None:
    """The large networks of China have fixed labels, others the label of their name."""
    assert network(name) == made


XDB = {
    "a province": (XdbPlace("中国", "广东省", "电信"), Place("guangdong", "telecom", "CN")),
    "a municipality": (XdbPlace("中国", "上海市", "联通", "CN"), Place("shanghai", "unicom", "CN")),
    "an autonomous region": (XdbPlace("中国", "内蒙古自治区", "移动"), Place("neimenggu", "mobile", "CN")),
    "a region with a code of its own": (XdbPlace("中国", "香港", ""), Place("hongkong", "unknown", "HK")),
    "abroad": (
        XdbPlace("United States", "California", "Google LLC", "US"),
        Place("california", "google-llc", "US"),
    ),
    "abroad, in an older file": (XdbPlace("美国", "", ""), Place("unknown", "unknown", "US")),
    "nothing": (XdbPlace(), NOWHERE),
}


@pytest.mark.parametrize(("found", "place"), XDB.values(), ids=XDB.keys())
def test_records_of_ip2region_become_places(found: XdbPlace, place: Place) -> None:
    """Both orders of fields give the same labels."""
    assert of_xdb(found) == place


CITY: dict[str, tuple[dict[str, Any], Place]] = {
    "a province": (
        {"country": {"iso_code": "CN"}, "subdivisions": [{"iso_code": "GD", "names": {"en": "Guangdong"}}]},
        Place("guangdong", "unknown", "CN"),
    ),
    "a province of another name": (
        {
            "country": {"iso_code": "CN"},
            "subdivisions": [{"iso_code": "NM", "names": {"en": "Inner Mongolia"}}],
        },
        Place("neimenggu", "unknown", "CN"),
    ),
    "a state": (
        {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BY", "names": {"en": "Bavaria"}}]},
        Place("bavaria", "unknown", "DE"),
    ),
    "a code alone": (
        {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BY"}]},
        Place("by", "unknown", "DE"),
    ),
    "a country alone": ({"country": {"iso_code": "DE"}}, Place("unknown", "unknown", "DE")),
    "where it is registered": ({"registered_country": {"iso_code": "FR"}}, Place("unknown", "unknown", "FR")),
    "nothing": ({}, NOWHERE),
    "another form": ({"country": "DE", "subdivisions": {}}, NOWHERE),
}


@pytest.mark.parametrize(("record", "place"), CITY.values(), ids=CITY.keys())
def test_records_of_city_databases_become_places(record: dict[str, Any], place: Place) -> None:
    """Provinces of China get the same labels as from ip2region."""
    assert of_city(record) == place


def test_records_of_isp_and_asn_databases_become_networks() -> None:
    """The label is that of the network, else of the organization that announces it."""
    assert of_isp({"isp": "China Telecom", "organization": "x"}).isp == "telecom"
    assert of_isp({"autonomous_system_organization": "Hetzner Online GmbH"}).isp == "hetzner-online-gmbh"
    assert of_isp({}) == NOWHERE


def test_gaps_are_filled_from_the_next_database() -> None:
    """Known parts are kept."""
    assert Place("gd", "unknown", "CN").filled(Place("x", "telecom", "US")) == Place("gd", "telecom", "CN")
