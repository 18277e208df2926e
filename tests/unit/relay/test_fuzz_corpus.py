"""The kept corpus of the fuzz targets, replayed without a fuzzer; `make fuzz` goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS, pumping
from support.relay.forms import FORMS, form_of
from wsedge_relay.pump.selector import Form

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus"
OF_THE_PUMP = ("stream", "life")


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


def replay(target: str) -> None:
    """Run every kept input of a target."""
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) >= 20, "the kept corpus is missing"
    for file in inputs:
        try:
            TARGETS[target](file.read_bytes())
        except AssertionError as error:
            error.add_note(f"{target}: {file}")
            raise


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in OF_THE_PUMP])
def test_whatever_was_found_keeps_every_rule(target: str) -> None:
    """Each input that once reached new code is read in one way alone, and passed on in none other."""
    replay(target)


@pytest.mark.parametrize("target", OF_THE_PUMP)
def test_whatever_peers_did_passes_by_the_rules(
    target: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each form of the pump, and in both alike."""
    monkeypatch.setitem(pumping.FORMS, form.name, form.pump)
    replay(target)
