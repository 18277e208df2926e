"""Child processes that never outlive this one.

Each child asks the kernel for SIGKILL when its parent dies (PR_SET_PDEATHSIG), runs in a session of its own,
and carries the cluster's mark in its environment; this process adopts orphans (PR_SET_CHILD_SUBREAPER), so
that a grandchild whose parent has gone is found and reaped too.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

MARK = "DEVCLUSTER_MARK"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A started process. `ended` becomes its exit code, negative for a signal."""

    def __init__(self, process: subprocess.Popen[bytes], ended: asyncio.Future[int]) -> None:
        self.pid, self.ended = process.pid, ended
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._process = process

    async def wait(self) -> int:
        """Wait for the end; return `ended`. A cancelled waiter leaves the others waiting."""
        return await asyncio.shield(self.ended)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself; nothing when it has ended."""
        if not self.ended.done():
            os.kill(self.pid, number)

    def send_to_all(self, number: signal.Signals) -> None:
        """Send a signal to all processes of its session's first group, also when the leader has ended."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def reaped(self, code: int) -> None:
        """Note the exit code of the reaped process; Children calls it once."""
        # Popen must not wait for a pid that may belong to another process by now
        self._process.returncode = code
        if not self.ended.done():
            self.ended.set_result(code)


class Children:
    """Starts processes and reaps them, with one SIGCHLD handler for all (own children and adopted ones)."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._loop = asyncio.get_running_loop()
        self._parent = os.getpid()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        stdin: int = subprocess.DEVNULL,
    ) -> Child:
        """Start a command; raises OSError when it cannot be executed."""
        process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=self._die_with_parent,  # noqa: PLW1509 (this process has no other thread that holds locks)
        )
        child = Child(process, self._loop.create_future())
        self._children[process.pid] = child
        return child

    def close(self) -> None:
        """Stop reaping; the caller ends the children first."""
        self._loop.remove_signal_handler(signal.SIGCHLD)

    def _die_with_parent(self) -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:  # the parent died before the call above
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                child.reaped(os.waitstatus_to_exitcode(status))


def marked_processes(mark: str) -> list[int]:
    """Return the ids of this user's processes whose environment has the mark, without this process."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # another user's process, or one that has ended
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def kill_marked(mark: str) -> None:
    """Kill every process that has the mark, however it was started; repeat until none is left."""
    while pids := marked_processes(mark):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
