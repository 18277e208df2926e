"""Checks after each test of the relay."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import wsedge_relay.pump.leg


@pytest.fixture(autouse=True)
def shared_ending_is_unchanged() -> Iterator[None]:
    """Legs share one `Ending` until their own end begins: a change of it would end every connection."""
    yield
    for module in (wsedge_relay.pump.leg, sys.modules.get("wsedge_relay.pump.compiled.leg")):
        if module is not None:
            shared, fresh = module.NOT_ENDING, module.Ending()
            for name in wsedge_relay.pump.leg.Ending.__slots__:
                assert getattr(shared, name) == getattr(fresh, name), name
