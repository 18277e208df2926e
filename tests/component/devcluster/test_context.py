"""Waiting for a change of a pod, and ports for users without root."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from wsedge_devcluster.agent.context import PodContext
from wsedge_devcluster.machine.ranges import reachable_port


def context() -> PodContext:
    unused: Any = None
    return PodContext(unused, {}, Path(), unused, unused, unused)


async def test_pause_ends_with_a_change() -> None:
    """A pause ends when the pod changes, long before its time."""
    pod = context()
    pausing = asyncio.create_task(pod.pause(600, since=pod.version))
    await asyncio.sleep(0)
    pod.poke()
    await asyncio.wait_for(pausing, 20)


async def test_change_before_the_pause() -> None:
    """A change between the read of the pod and the pause ends the pause at once."""
    pod = context()
    version = pod.version
    pod.poke()
    await asyncio.wait_for(pod.pause(600, since=version), 20)


async def test_pause_ends_by_itself() -> None:
    """Without a change a pause ends when its time is over."""
    pod = context()
    await pod.pause(0.01, since=pod.version)


async def test_cancelled_as_the_pod_changes() -> None:
    """A pause that is cancelled at the moment of a change raises CancelledError."""
    pod = context()
    pausing = asyncio.create_task(pod.pause(600, since=pod.version))
    await asyncio.sleep(0)
    pod.poke()
    pausing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(pausing, 20)


@pytest.mark.parametrize(
    ("user", "port", "expected"),
    [(0, 80, 80), (1000, 80, 8080), (1000, 443, 8443), (1000, 8080, 8080)],
)
def test_reachable_port(user: int, port: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A low port is 8000 higher for a user who may not listen on it."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if user != 0 and first <= port < 1024:
        pytest.skip(f"this machine lets everybody listen from port {first} on")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert reachable_port(port) == expected
