"""The event loop's selector with a pump inside; chooses the plain or the compiled form of the pump.

`asyncio.SelectorEventLoop(PumpSelector())` runs asyncio as usual. The pump reads and writes its own
descriptors inside `select()`, so asyncio never gets an event of theirs.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import os
import select
import selectors
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from wsedge_relay.errors import SettingsError
from wsedge_relay.pump import compiled, pump
from wsedge_relay.pump.build import STAMP, digest
from wsedge_relay.pump.pump import TAG_BYTES, Event, Pump
from wsedge_relay.transport.readiness import Readiness

Wanted = Literal["auto", "compiled", "plain"]

_OUT: Final = select.EPOLLOUT
_IN: Final = select.EPOLLIN


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the pump: its class, its name, and the reason of the choice, for the log."""

    pump: type[Pump]
    name: Literal["compiled", "plain"]
    reason: str


def choose(wanted: Wanted = "auto") -> Form:
    """Return the form of the pump to run: with "auto" the compiled one if it exists.

    A form that was compiled from other sources than the installed ones is not used. Raises SettingsError when
    `wanted` is "compiled" and there is no such form.
    """
    if wanted == "plain":
        return Form(pump.Pump, "plain", "set by --pump")
    try:
        stamps = [Path(folder, STAMP) for folder in compiled.__path__]
        stamp = next((file.read_text() for file in stamps if file.exists()), None)
        if stamp is None:
            reason = "no compiled form is installed"
        elif stamp != digest():
            reason = "the compiled form was built from other sources"
        else:
            made: type[Pump] = importlib.import_module("wsedge_relay.pump.compiled.pump").Pump
            return Form(
                made, "compiled", "set by --pump" if wanted == "compiled" else "a compiled form is installed"
            )
    except (ImportError, OSError) as error:
        reason = f"the compiled form cannot be loaded: {error}"
    if wanted == "compiled":
        problem = f"--pump compiled: {reason}; to compile it, run: python -m wsedge_relay.pump.build"
        raise SettingsError([problem])
    return Form(pump.Pump, "plain", reason)


class PumpSelector(selectors.EpollSelector):
    """asyncio's selector with a pump inside: `asyncio.SelectorEventLoop(PumpSelector())`.

    `notify` gets the pump's events after the batch that produced them, still inside the loop's own
    `select()`: it must only schedule (`loop.call_soon`).
    """

    def __init__(self, tag: bytes | None = None, *, form: Form | None = None) -> None:
        super().__init__()
        # A duplicate, because the object that `fromfd` returns closes its descriptor. It is the same epoll.
        self._own = select.epoll.fromfd(os.dup(self.fileno()))
        make = form.pump if form is not None else choose().pump
        self.pump = make(self._own, tag or os.urandom(TAG_BYTES))
        self.notify: Callable[[list[Event]], object] = _ignore
        self.ready: Readiness | None = None

    def readiness(self, loop: asyncio.AbstractEventLoop) -> Readiness:
        """Return the Readiness of this selector, which belongs to `loop`."""
        if self.ready is None:
            self.ready = Readiness(loop, self._own)
        return self.ready

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve the pump; return asyncio's own ready descriptors with their events."""
        if timeout is None:
            wait = -1.0
        elif timeout <= 0:
            wait = 0.0
        else:
            # epoll counts milliseconds. Rounded up, as in the base class: a timer must not fire early.
            wait = math.ceil(timeout * 1e3) * 1e-3
        events = self.pump.run(wait)
        ready = []
        woken = []
        masks = self.ready.masks if self.ready is not None else ()
        for fd, what in events:
            if fd in masks:
                woken.append(fd)
                continue
            key = self.get_map().get(fd)
            if key is not None:
                reads = selectors.EVENT_READ if what & ~_OUT else 0
                writes = selectors.EVENT_WRITE if what & ~_IN else 0
                ready.append((key, (reads | writes) & key.events))
        if woken and self.ready is not None:
            self.ready.loop.call_soon(self.ready.serve, woken)
        if self.pump.events:
            self.notify(self.pump.take_events())
        return ready

    def close(self) -> None:
        """Close both descriptors of the epoll."""
        self._own.close()
        super().close()


def _ignore(events: list[Event]) -> None:
    """Ignore events: a pump without an owner has no legs and produces none."""
