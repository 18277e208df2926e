"""Names of regions and networks."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from wsedge_relay.geo import labels
from wsedge_statistics.contract import Label
from wsedge_statistics.dcdn import names


def test_every_name_can_be_counted_under() -> None:
    """The contract takes each name of the original, spaces included."""
    accepts = TypeAdapter(Label).validate_python
    for name in (*names.REGIONS, *names.ISPS, *names.FURTHER_ISPS, "fareastone telecom"):
        assert accepts(name) == name
        assert accepts(names.label_of(name, ())) == names.label_of(name, ())


def test_relays_count_provinces_and_networks_under_the_names() -> None:
    """A province or network that relays know is found by the original's name."""
    provinces = {label for _, _, label in (*labels._PROVINCES, *labels._OWN_CODES)}
    assert {names.label_of(name, ()) for name in names.REGIONS} == provinces
    networks = {label for _, label in labels._NETWORKS}
    assert {names.label_of(name, ()) for name in names.ISPS} <= networks
    assert names.label_of("ccn", ()) in networks


def test_a_name_that_is_counted_itself_is_not_translated() -> None:
    """Another reporter may use the original's names."""
    assert names.label_of("xianggang", ["hongkong"]) == "hongkong"
    assert names.label_of("xianggang", ["xianggang", "hongkong"]) == "xianggang"
    assert names.label_of("california", []) == "california"


def test_what_was_counted_is_listed_with_what_always_is() -> None:
    """By the original's name, and by its own where the original has none."""
    found = names.listed(["hongkong", "bavaria"], names.REGIONS, {})
    assert len(found) == 35
    assert {"NameEn": "xianggang", "NameZh": "香港特别行政区"} in found
    assert {"NameEn": "bavaria", "NameZh": "bavaria"} in found
    isps = names.listed(["local area network", "cbn", "dtag"], names.ISPS, names.FURTHER_ISPS)
    assert [each["NameEn"] for each in isps] == sorted([*names.ISPS, "local area network", "ccn", "dtag"])
    assert {"NameEn": "local area network", "NameZh": "局域网"} in isps


@pytest.mark.parametrize("name", ["shaanxi", "shanxi"])
def test_the_two_provinces_of_one_sound_are_two(name: str) -> None:
    """Shaanxi is 陕西, Shanxi is 山西."""
    assert names.REGIONS[name] == {"shaanxi": "陕西省", "shanxi": "山西省"}[name]
