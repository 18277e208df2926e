"""Geo databases: read, replaced, damaged, and in the usage."""

from __future__ import annotations

import errno
import os
import random
import signal
from pathlib import Path

import pytest
import structlog

from support.relay.geo_files import mmdb, xdb
from support.relay.running import ACCOUNT, DOMAIN, on_pump_loop, origin, running
from support.relay_process import config, domain, write
from support.relay_process.process import RelayProcess
from support.relay_process.statistics import Statistics
from support.relay_process.traffic import Client, echo_origin
from wsedge_relay.geo.databases import GeoDatabases
from wsedge_relay.geo.labels import NOWHERE, Place
from wsedge_relay.metering.usage import UsageKey

CITY = mmdb(
    {
        "127.0.0.0/8": {
            "country": {"iso_code": "CN"},
            "subdivisions": [{"iso_code": "GD", "names": {"en": "Guangdong"}}],
        },
        "192.0.2.0/24": {"country": {"iso_code": "DE"}, "city": {"names": {"en": "A long name " * 5}}},
        "2001:db8::/32": {"country": {"iso_code": "FR"}},
    }
)
ISP = mmdb({"127.0.0.0/8": {"isp": "China Telecom"}, "192.0.2.0/24": {"isp": "Example"}}, kind="GeoIP2-ISP")
XDB = xdb({"127.0.0.0-127.255.255.255": "中国|上海市|上海市|0|CN"})


def taken(geo: GeoDatabases) -> list[str]:
    """Check the files once and return the names of those that changed."""
    news = geo.poll()
    geo.apply(news)
    return sorted(news)


def put(path: Path, data: bytes) -> Path:
    """Replace a file as a kubelet or an updater does: write beside it, then rename."""
    beside = path.with_suffix(".new")
    beside.write_bytes(data)
    return beside.replace(path)


def test_three_files_fill_each_others_gaps(tmp_path: Path) -> None:
    """ip2region has precedence; values that no file has are unknown."""
    geo = GeoDatabases(
        ip2region=put(tmp_path / "a.xdb", XDB),
        city=put(tmp_path / "b.mmdb", CITY),
        isp=put(tmp_path / "c.mmdb", ISP),
    )
    assert geo.place_of("127.0.0.1") == NOWHERE
    assert taken(geo) == ["city", "ip2region", "isp"]
    assert geo.place_of("127.0.0.1") == Place("shanghai", "telecom", "CN")
    assert geo.place_of("192.0.2.7") == Place("unknown", "example", "DE")
    assert geo.place_of("2001:db8::1") == Place("unknown", "unknown", "FR")
    assert geo.place_of("203.0.113.1") == NOWHERE


def test_a_new_file_counts_at_once_and_a_damaged_one_does_not(tmp_path: Path) -> None:
    """The last valid file stays, and the refusal is logged and counted once."""
    path = put(tmp_path / "city.mmdb", CITY)
    geo = GeoDatabases(ip2region=None, city=path, isp=None)
    assert taken(geo) == ["city"]
    assert taken(geo) == []
    put(path, mmdb({"127.0.0.0/8": {"country": {"iso_code": "US"}}}))
    assert taken(geo) == ["city"]
    assert geo.place_of("127.0.0.1").area == "US"
    with structlog.testing.capture_logs() as logged:
        put(path, b"no database" * 100)
        assert taken(geo) == ["city"]
        assert taken(geo) == []
        os.remove(path)  # noqa: PTH107
        assert taken(geo) == ["city"]
    assert [line["event"] for line in logged] == ["geo database refused"] * 2
    assert geo.refusals == 2
    assert geo.place_of("127.0.0.1").area == "US"
    put(path, CITY)
    assert taken(geo) == ["city"]
    assert geo.place_of("127.0.0.1").area == "CN"


def test_a_file_that_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lack of descriptors is temporary and changes no file; it is logged once."""
    path = put(tmp_path / "city.mmdb", CITY)
    geo = GeoDatabases(ip2region=None, city=path, isp=None)

    def no_read(_: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", no_read)
        assert [taken(geo), taken(geo)] == [["city"], []]
    assert geo.refusals == 1
    assert [taken(geo), taken(geo)] == [["city"], []]
    assert geo.place_of("127.0.0.1").area == "CN"


def test_a_file_whose_description_is_damaged_is_refused(tmp_path: Path) -> None:
    """Any damaged byte of the metadata costs labels only."""
    addresses = ("127.0.0.1", "192.0.2.7", "2001:db8::1")
    begin = CITY.index(b"iso_code") - 8
    chance = random.Random(1)
    outcomes = set()
    with structlog.testing.capture_logs():
        for at in range(begin, len(CITY)):
            for value in {0, 0xFF, 0xE1, CITY[at] ^ 0x20, chance.randrange(256)}:
                path = put(tmp_path / "city.mmdb", CITY[:at] + bytes([value]) + CITY[at + 1 :])
                geo = GeoDatabases(ip2region=None, city=path, isp=None)
                geo.apply(geo.poll())
                outcomes.add((geo.refusals, *(geo.place_of(address).area for address in addresses)))
    assert {(0, "CN", "DE", "FR"), (1, *["unknown"] * 3), (0, "unknown", "DE", "FR")} <= outcomes


def test_a_file_that_was_cut_costs_its_records_alone(tmp_path: Path) -> None:
    """A database whose data is damaged never breaks a handshake."""
    at = CITY.index(b"iso_code")
    path = put(tmp_path / "city.mmdb", CITY[: at - 4] + b"\xff" * 60 + CITY[at + 56 :])
    geo = GeoDatabases(ip2region=None, city=path, isp=None)
    assert (taken(geo), geo.refusals) == (["city"], 0)
    areas = [geo.place_of(address).area for address in ("127.0.0.1", "192.0.2.7", "2001:db8::1")]
    assert areas == ["unknown", "DE", "FR"]


@on_pump_loop
async def test_usage_is_by_the_place_of_the_client() -> None:
    """Handshake, bytes and the open connection have the place; a new database applies to new connections."""
    place = Place("guangdong", "telecom", "CN")
    async with origin() as port, running(port, place_of=lambda _: place) as relay:
        async with relay.connect() as client:
            await client.send("hello")
            await client.recv()
            place = NOWHERE
        await relay.until_idle_after_opening()
        relay.relay.sweep()
        (row,) = relay.usage.unacknowledged()
        assert row.key == UsageKey(DOMAIN, ACCOUNT, "guangdong", "telecom", "CN")
        assert (row.sent_messages, row.opened_connections, row.codes) == (1, 1, ((101, 1),))


async def test_the_program_reports_by_place_as_soon_as_there_is_a_file(tmp_path: Path) -> None:
    """A missing file does not stop the start; after SIGHUP new clients have a place."""
    city = tmp_path / "city.mmdb"
    async with echo_origin() as port, Statistics() as statistics:
        origins = [{"host": "127.0.0.1", "httpPort": port}]
        reporting = {"statistics": {"url": statistics.url}}
        path = write(tmp_path / "relay.json", config(domain(origins=origins), **reporting))
        async with RelayProcess("--config", path, "--geo-city", city, "--report-seconds", "0.2") as relay:
            await relay.event("geo database refused", kind="city", reason="No such file or directory")
            http = await relay.port("http")
            put(city, CITY)
            relay.signal(signal.SIGHUP)
            await relay.event("geo database loaded", kind="city")
            client = await Client().open(http)
            await client.echo(b"hello")
            await statistics.until(lambda: statistics.total("openedConnections"))
            (row,) = statistics.rows.values()
            assert (row["region"], row["isp"], row["area"]) == ("guangdong", "unknown", "CN")
            _, metrics = await relay.admin("/metrics")
            assert 'wsedge_relay_geo_files{file="city"} 1.0' in metrics
            assert "wsedge_relay_geo_refusals_total 1.0" in metrics
            client.close()
