"""The machine of a bench: its description, and the load of other processes on its two cores."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy import LOAD_CORE, PROXY_CORE

BUSY = 0.1  # share of a core used by other processes from which a machine counts as busy


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of 1 that other processes used of the proxies' and the load's core, the hypervisor of both."""

    proxies: float
    load: float
    stolen: float

    @property
    def busy(self) -> bool:
        """Return whether other processes would change the figures."""
        return max(self.proxies, self.load, self.stolen) > BUSY

    def __str__(self) -> str:
        return (
            f"other programs used {self.proxies:.0%} of the proxies' core and {self.load:.0%} of the load's "
            f"core, the hypervisor {self.stolen:.0%} of both"
        )


@dataclass(frozen=True, slots=True)
class _Core:
    busy: float
    stolen: float


class Meter:
    """Measures other processes' run time from its creation. `ours`: seconds of our programs on each core."""

    def __init__(self, ours: Callable[[], dict[int, float]]) -> None:
        self._ours = ours
        self._begun = time.monotonic()
        self._cores, self._own = _cores(Path("/proc/stat").read_text()), ours()

    def shares(self) -> Shares:
        """Return the shares since the creation."""
        cores, own = _cores(Path("/proc/stat").read_text()), self._ours()
        length = time.monotonic() - self._begun

        def others(core: int) -> float:
            busy = cores[core].busy - self._cores[core].busy
            return max(0.0, busy - (own[core] - self._own[core])) / length

        stolen = max(cores[core].stolen - self._cores[core].stolen for core in (PROXY_CORE, LOAD_CORE))
        return Shares(others(PROXY_CORE), others(LOAD_CORE), stolen / length)


def _cores(stat: str) -> dict[int, _Core]:
    """Read /proc/stat: each core's busy seconds (interrupts included), and its stolen seconds."""
    tick = os.sysconf("SC_CLK_TCK")
    cores = {}
    for line in stat.splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _waiting, irq, softirq, stolen = map(int, numbers[:8])
            busy = user + nice + system + irq + softirq
            cores[int(name[3:])] = _Core(busy / tick, stolen / tick)
    return cores


def describe_machine() -> str:
    """Return processor and kernel in general terms."""
    kernel = platform.release().split("-")[0]
    return f"{os.cpu_count()} cores of {_processor()}, Linux {kernel}"


def describe_python(python: str) -> str:
    """Return version and build of a Python."""
    code = (
        "import platform, sys, sysconfig; args = sysconfig.get_config_var('CONFIG_ARGS') or '';"
        "home = sys._base_executable.startswith('/usr/bin/');"
        "how = 'with' if '--enable-optimizations' in args else 'without';"
        "name = platform.freedesktop_os_release()['NAME'].split()[0] if home else '';"
        "print(platform.python_version(), f'of {name}' if home else f'built {how} --enable-optimizations')"
    )
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def version(*command: str) -> str:
    """Return the first line of a program's version output."""
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _processor() -> str:
    """Return the processor's name from the kernel."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
