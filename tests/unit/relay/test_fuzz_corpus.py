"""The stored corpus of the fuzz targets, replayed without a fuzzer; `make fuzz` begins with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fuzz import kept
from fuzz.targets import TARGETS, pumping
from support.relay.forms import FORMS, form_of
from wsedge_relay.pump.selector import Form

OF_THE_PUMP = ("stream", "life")
# Inputs with seeds. `make fuzz GROW=1` drops inputs that reach nothing new: lower these then.
COUNTS = {
    "request": 119,
    "answer": 72,
    "plain": 131,
    "body": 82,
    "proxy": 46,
    "stream": 258,
    "life": 317,
    "http2": 115,
}


@pytest.fixture(params=FORMS, scope="module")
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the pump in turn."""
    return form_of(request)


def replay(target: str) -> None:
    """Run every stored input of a target."""
    inputs = kept.inputs(target)
    assert len(set(inputs.values())) >= COUNTS[target], "a part of the kept corpus is missing"
    for name, data in inputs.items():
        try:
            TARGETS[target](data)
        except AssertionError as error:
            error.add_note(f"{target}: {name}: {data!r}")
            raise


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in OF_THE_PUMP])
def test_whatever_was_found_keeps_every_rule(target: str) -> None:
    """Each input that once reached new code has one interpretation, and is forwarded with the same one."""
    replay(target)


@pytest.mark.parametrize("target", OF_THE_PUMP)
def test_whatever_peers_did_passes_by_the_rules(
    target: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules hold in each form of the pump, and both forms have the same result."""
    monkeypatch.setitem(pumping.FORMS, form.name, form.pump)
    replay(target)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_few_and_have_names(target: str) -> None:
    """A seed's name describes its content; inputs that the fuzzer found are in the archive."""
    names = [file.name for file in (kept.SEEDS / target).iterdir()]
    assert 10 <= len(names) <= 25
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    assert not [name for name in names if re.fullmatch(r"[0-9a-f]{12,}", name)]


def test_equal_inputs_make_equal_archives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packing is deterministic, keeps every input, and skips seeds."""
    inputs = kept.inputs("proxy")
    assert kept.packed(inputs.values()) == kept.packed(reversed(inputs.values()))
    monkeypatch.setattr(kept, "CORPUS", tmp_path)
    kept.pack("proxy", [*inputs.values(), b"new"])
    assert sorted(kept.inputs("proxy").values()) == sorted([*inputs.values(), b"new"])
    kept.unpack("proxy", tmp_path / "unpacked")
    assert len(list((tmp_path / "unpacked").iterdir())) == len(inputs) + 1
