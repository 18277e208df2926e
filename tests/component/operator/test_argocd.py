"""What Argo CD makes of our objects by the health check that the project gives it, in a real Lua 5.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lupa.lua51
import pytest

from support.operator.snapshots import live_domain
from support.operator.states import STATES

SCRIPT = Path(__file__).parents[3] / "gitops" / "argocd" / "health.lua"
# Argo CD's names for the verdicts of kstatus.
NAMES = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}


def health(live: dict[str, Any]) -> tuple[str, str]:
    """Return status and message, as Argo CD does it: the object is the global `obj`, no library is open."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.execute("os, io, package, require, debug, dofile, loadfile, python = nil")
    lua.globals()["obj"] = lua.table_from(live, recursive=True)
    found: Any = lua.execute(SCRIPT.read_text())
    return found["status"], found["message"]


@pytest.mark.parametrize("state", STATES)
def test_health_of_each_state(state: str) -> None:
    """Argo CD says the same as kstatus, and why in the words of the condition Ready."""
    make, verdict = STATES[state]
    live = make()
    status, text = health(live)
    assert status == NAMES[verdict]
    conditions = {entry["type"]: entry for entry in live["status"].get("conditions") or ()}
    if live["status"].get("observedGeneration") == live["metadata"]["generation"]:
        assert text == conditions["Ready"]["message"]
    else:
        assert text == "the operator has not seen this spec yet"


def test_health_of_an_object_without_a_status() -> None:
    """An object that was stored before the CRD gave it a status is in progress."""
    assert health(live_domain()) == ("Progressing", "the operator has not seen this spec yet")
