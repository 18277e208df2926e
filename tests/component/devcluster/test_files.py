"""Volumes on disk, and the life of child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.operator.cluster import until
from wsedge_devcluster.agent.volumes import File, select_items, write_atomically
from wsedge_devcluster.errors import StartError, VolumeError
from wsedge_devcluster.machine.children import MARK, Children, kill_marked, marked_processes
from wsedge_devcluster.machine.ranges import claim, reserve_port


def shown(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if not path.name.startswith("..") and path.is_file() and ".." not in str(path.relative_to(folder))
    }


def test_a_volume_has_exactly_the_given_files(tmp_path: Path) -> None:
    """Each name is a link; one replaced link changes all files at once."""
    assert write_atomically(tmp_path, {"a": File(b"1", 0o644), "b": File(b"2", 0o600)})
    assert shown(tmp_path) == {"a": "1", "b": "2"}
    assert (tmp_path / "a").readlink() == Path("..data/a")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert write_atomically(tmp_path, {"a": File(b"3", 0o644)})
    assert shown(tmp_path) == {"a": "3"}
    assert len([entry for entry in tmp_path.iterdir() if entry.name.startswith("..")]) == 2


def test_unchanged_volume_is_not_touched(tmp_path: Path) -> None:
    """The same content writes nothing, so that watchers of the files are not woken."""
    files = {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o644)}
    assert write_atomically(tmp_path, files)
    before = (tmp_path / "..data").readlink()
    assert not write_atomically(tmp_path, files)
    assert (tmp_path / "..data").readlink() == before


def test_empty_volume(tmp_path: Path) -> None:
    """An optional volume without an object is an empty folder."""
    write_atomically(tmp_path / "new", {})
    assert shown(tmp_path / "new") == {}


def test_items() -> None:
    """`items` selects keys, renames them and sets modes; a missing key is an error unless optional."""
    items = [{"key": "a", "path": "x/y", "mode": 0o400}]
    assert select_items("v", {"a": b"1", "b": b"2"}, items, 0o644, optional=False) == {
        "x/y": File(b"1", 0o400)
    }
    assert select_items("v", {}, items, 0o644, optional=True) == {}
    with pytest.raises(VolumeError, match="references non-existent config key: a"):
        select_items("v", {}, items, 0o644, optional=False)


async def test_child_end_is_seen(tmp_path: Path) -> None:
    """A child's exit code, or signal, is known once it has ended."""
    children = Children()
    try:
        quiet = {"env": {}, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        child = children.start([sys.executable, "-c", "raise SystemExit(3)"], **quiet)  # type: ignore[arg-type]
        assert await asyncio.wait_for(child.wait(), 30) == 3
        waits = [sys.executable, "-c", "import signal; signal.pause()"]
        child = children.start(waits, **quiet)  # type: ignore[arg-type]
        child.send(signal.SIGKILL)
        assert await asyncio.wait_for(child.wait(), 30) == -9
        child.send(signal.SIGKILL)  # no effect: the process has ended
        child.send_to_all(signal.SIGKILL)
    finally:
        children.close()


def test_marked_processes_are_found_and_ended() -> None:
    """A process with the mark is found by its environment, and ended."""
    mark = f"test-{os.getpid()}"
    process = subprocess.Popen(["sleep", "600"], env={MARK: mark, "PATH": os.defpath}, start_new_session=True)
    # The kernel closes what Popen waits for before it shows the new program's environment.
    until("its environment is there", lambda: marked_processes(mark) == [process.pid])
    kill_marked(mark)
    assert process.wait(30) == -9


def test_ranges_are_claimed_once() -> None:
    """A claimed pair of ranges is not claimed again until it is released."""
    low = [claim() for _ in range(20)]
    first, second = claim(), claim()
    for each in low:
        each.release()  # other processes claim the lowest pairs, not these two
    number = first.pair.number
    assert number != second.pair.number
    with pytest.raises(StartError, match="is taken"):
        claim(number)
    first.release()
    claim(number).release()
    second.release()


def test_reserved_port_can_be_listened_on() -> None:
    """A reserved port is free for a server that shares it, and refuses until then."""
    import socket

    with reserve_port("127.0.0.1") as holder:
        place = holder.getsockname()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, timeout=5)
        with socket.create_server(place, reuse_port=True), socket.create_connection(place, timeout=5):
            pass
