"""The choice between the pump's two forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.relay.forms import form_of
from wsedge_relay.errors import SettingsError
from wsedge_relay.pump import compiled, pump
from wsedge_relay.pump.build import STAMP, digest
from wsedge_relay.pump.selector import choose


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder from which a compiled form is loaded."""
    monkeypatch.setattr(compiled, "__path__", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize("form", ["compiled"], indirect=True)
def test_an_installed_compiled_form_is_used(form: object) -> None:
    """Unless `plain` is wanted."""
    assert choose("auto").name == choose("compiled").name == "compiled"
    assert (choose("plain").name, choose("plain").pump) == ("plain", pump.Pump)


@pytest.fixture
def form(request: pytest.FixtureRequest) -> object:
    """Return the form of the test's parameter."""
    return form_of(request)


def test_without_one_the_plain_form_runs(folder: Path) -> None:
    """A new installation has no compiled form."""
    assert choose("auto").reason == "no compiled form is installed"
    assert choose("auto").pump is pump.Pump


def test_a_form_of_other_sources_is_not_used(folder: Path) -> None:
    """A change of the sources applies at the next start, even if nobody compiles them again."""
    (folder / STAMP).write_text("0" * 64)
    assert choose("auto").name == "plain"
    assert choose("auto").reason == "the compiled form was built from other sources"


def test_compiled_is_refused_where_there_is_none(folder: Path) -> None:
    """The message names the command that compiles the pump."""
    with pytest.raises(SettingsError, match=r"--pump compiled: no compiled form is installed; .*pump\.build"):
        choose("compiled")


def test_a_module_that_does_not_load_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module was compiled for another Python, or is incomplete."""
    (folder / STAMP).write_text(digest())
    monkeypatch.delitem(__import__("sys").modules, "wsedge_relay.pump.compiled.pump", raising=False)
    assert choose("auto").reason.startswith("the compiled form cannot be loaded: ")
