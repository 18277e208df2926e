"""Other processes on the bench's cores."""

from __future__ import annotations

from machine import Shares


def test_a_quiet_machine_is_not_busy() -> None:
    """A bench tolerates a tenth of a core."""
    assert not Shares(0.1, 0.0, 0.0).busy


def test_any_disturbed_core_makes_it_busy() -> None:
    """The proxies' core, the load's core and the hypervisor's share count equally."""
    assert Shares(0.2, 0, 0).busy
    assert Shares(0, 0.2, 0).busy
    assert Shares(0, 0, 0.2).busy


def test_shares_are_told_in_words() -> None:
    """The header of the tables names each share."""
    assert str(Shares(0.02, 0.05, 0)) == (
        "other programs used 2% of the proxies' core and 5% of the load's core, the hypervisor 0% of both"
    )
