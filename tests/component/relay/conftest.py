"""Fixtures that several modules of these tests use."""

from __future__ import annotations

import pytest

from support.relay.forms import FORMS, form_of
from support.relay.running import PumpLoop


@pytest.fixture(params=FORMS)
def each_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test's relay with each form of the pump in turn."""
    monkeypatch.setattr(PumpLoop, "form", form_of(request))
