"""The rate at which the sides of a plain request are read."""

from __future__ import annotations

from wsedge_relay.client.plain_requests import ReadRates


def test_the_paces_of_a_connection_stay_while_the_rate_does() -> None:
    """All requests of a connection share two paces, one per direction; a new rate creates new paces."""
    rates = ReadRates()
    assert rates.at(None) is None
    paces = rates.at(1024)
    assert paces is not None
    assert paces[0] is not paces[1]
    assert rates.at(1024) is paces
    assert rates.at(2048) is not paces
