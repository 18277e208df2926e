"""Watching a configuration: every kind of change is detected, half-written files are ignored."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from support.relay_process import certificate, config, domain, encoded, fingerprint, publish, write
from wsedge_relay.config.follow import follow, log_applied
from wsedge_relay.config.load import LoadedConfig, load
from wsedge_relay.config.watch import ConfigWatch
from wsedge_relay.contract import RelayState
from wsedge_relay.errors import ConfigRefusedError


def watching(folder: Path, secrets: Path | None = None) -> ConfigWatch:
    """Return a watch of the present relay.json. Its clock is an hour ahead, so that no file is young."""
    path = folder / "relay.json"
    secrets = secrets or folder
    return ConfigWatch(path, secrets, load(path, secrets), now=lambda: time.time() + 3600)


def applied(watch: ConfigWatch) -> str | None:
    """Poll once, accept a new configuration and return its generation."""
    outcome = watch.poll()
    if not isinstance(outcome, LoadedConfig):
        return None
    watch.accepted(outcome)
    return outcome.config.generation


def refused(watch: ConfigWatch) -> str | None:
    """Poll twice, as a refusal requires, and return its text."""
    assert watch.poll() is None
    outcome = watch.poll()
    if not isinstance(outcome, ConfigRefusedError):
        return None
    watch.refuse(outcome)
    return str(outcome)


def test_nothing_new_is_nothing(tmp_path: Path) -> None:
    """Unchanged files are not read."""
    write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    assert [watch.poll(), watch.poll()] == [None, None]


def test_a_renamed_file_is_seen(tmp_path: Path) -> None:
    """An editor may replace a file by a rename."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    write(path, config(generation="g2"))
    assert applied(watch) == "g2"
    assert applied(watch) is None


def test_an_edit_in_place_is_seen(tmp_path: Path) -> None:
    """`>` and `sed -i` are both detected."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    watch.poll()
    path.write_text(json.dumps(config(generation="other-length")))
    assert applied(watch) == "other-length"


def test_an_edit_within_the_clock_tick_is_seen(tmp_path: Path) -> None:
    """Inode, size and time may be equal, so a young file is read at each poll."""
    path = write(tmp_path / "relay.json", config(generation="g1"))
    watch = ConfigWatch(path, tmp_path, load(path, tmp_path))
    watch.poll()
    stat = path.stat()
    path.write_text(json.dumps(config(generation="g2")))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert applied(watch) == "g2"


def test_a_kubelets_swap_is_seen(tmp_path: Path) -> None:
    """The file is a link to a link, of which the kubelet replaces `..data`."""
    volume = tmp_path / "volume"
    publish(volume, {"relay.json": encoded(config())})
    watch = watching(volume)
    publish(volume, {"relay.json": encoded(config(generation="g2"))})
    assert applied(watch) == "g2"


def test_a_bad_file_is_refused_once_and_the_last_good_one_stays(tmp_path: Path) -> None:
    """The refusal is reported at the second poll, and not again."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    write(path, config(domain(heartbeatSeconds=0), generation="g2"))
    assert "domains.0.heartbeatSeconds" in (refused(watch) or "")
    assert watch.poll() is None
    assert (watch.refusals, watch.in_force.config.generation) == (1, "team-a/chat@1")
    assert watch.refused is not None
    assert watch.refused.generation == "g2"


def test_the_same_problem_in_a_new_generation_is_a_new_refusal(tmp_path: Path) -> None:
    """The author of the newer generation waits for its result."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    for generation in ("g2", "g3"):
        write(path, config(domain(heartbeatSeconds=0), generation=generation))
        outcome = watch.poll() or watch.poll()
        assert isinstance(outcome, ConfigRefusedError)
        assert watch.refuse(outcome)
        assert watch.refused is not None
        assert watch.refused.generation == generation
        assert watch.poll() is None
    assert watch.refusals == 2


@pytest.mark.parametrize("name", ["relay.json", "tls.crt", "no descriptor for what is checked"])
def test_an_unreadable_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A lack of descriptors ends without a change of a file, so the watch must retry."""
    for file, content in zip(("tls.crt", "tls.key"), certificate(), strict=True):
        (tmp_path / file).write_bytes(content)
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
    write(path, config(domain(tls=files), generation="g2"))
    real_open, want = Path.open, OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def no_open(file: Path, *arguments: Any) -> Any:
        if file.name == name:
            raise want
        return real_open(file, *arguments)

    def no_memory_file(_: str) -> int:
        raise want

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", no_open)
        if name.startswith("no "):
            patch.setattr(os, "memfd_create", no_memory_file)
        assert os.strerror(errno.EMFILE) in (refused(watch) or "")
        assert watch.poll() is None
    assert applied(watch) == "g2"
    assert (watch.refused, watch.refusals) == (None, 1)


async def test_a_configuration_without_resources_is_retried(tmp_path: Path) -> None:
    """The last configuration stays in force, the refusal is logged once, and the relay goes on."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    tries: list[str] = []
    in_force = asyncio.Event()

    async def take(loaded: LoadedConfig) -> None:
        tries.append(loaded.config.generation)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        refused = watch.refused
        refusals.append((refused.generation if refused is not None else None, watch.refusals))
        in_force.set()

    refusals: list[tuple[str | None, int]] = []
    told = asyncio.Event()
    write(path, config(generation="g2"))
    with capture_logs() as logs:
        following = asyncio.create_task(follow(watch, told, take))
        async with asyncio.timeout(60):
            while len(tries) < 2:
                told.set()
                await asyncio.sleep(0.01)
            await in_force.wait()
        following.cancel()
        await asyncio.wait([following])
    assert refusals == [("g2", 1)]  # at the last try
    assert [line["event"] for line in logs] == ["configuration refused", "configuration applied"]
    assert watch.in_force.config.generation == "g2"
    assert watch.refused is None


async def test_unresolved_names_delay_no_configuration(tmp_path: Path) -> None:
    """The loop's threads may all be blocked by a name server that does not answer."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    in_force, found = asyncio.Event(), threading.Event()

    async def take(_: LoadedConfig) -> None:
        in_force.set()

    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    looking_up: asyncio.Future[Any] = loop.run_in_executor(None, found.wait)
    told = asyncio.Event()
    told.set()
    write(path, config(generation="g2"))
    following: asyncio.Future[Any] = asyncio.create_task(follow(watch, told, take))
    try:
        async with asyncio.timeout(30):
            await in_force.wait()
    finally:
        found.set()
        following.cancel()
        await asyncio.wait([following, looking_up])


def test_a_corrected_file_clears_the_refusal(tmp_path: Path) -> None:
    """A new configuration in force, or the old content again, removes the refusal."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    for good in (config(), config(generation="g2")):
        write(path, "bad")
        assert refused(watch) is not None
        write(path, good)
        applied(watch)
        assert watch.refused is None
    assert watch.in_force.config.generation == "g2"


def test_a_half_written_file_is_ignored(tmp_path: Path) -> None:
    """A file that is read between two writes of an edit is not refused."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    text = json.dumps(config(generation="g2"))
    path.write_text(text[:50])
    assert watch.poll() is None
    path.write_text(text)
    assert applied(watch) == "g2"
    assert watch.refusals == 0


def test_a_removed_file_is_a_refusal(tmp_path: Path) -> None:
    """The last configuration stays in force, and the refusal has the reason."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    path.unlink()
    assert "No such file" in (refused(watch) or "")


def test_other_listen_addresses_need_a_restart(tmp_path: Path) -> None:
    """Other addresses are refused; the old addresses are accepted again under any generation."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    listen = {"host": "127.0.0.1", "http": 8081, "admin": 0}
    write(path, config(listen=listen))
    assert "listen: other addresses need a restart of the relay" in (refused(watch) or "")
    write(path, config(domain(heartbeatSeconds=5)))
    assert applied(watch) == "team-a/chat@1"


def test_force_repeats_a_refusal(tmp_path: Path) -> None:
    """After SIGHUP a refusal is reported again."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    write(path, "bad")
    assert refused(watch) is not None
    watch.force()
    assert isinstance(watch.poll(), ConfigRefusedError)


class TestCertificates:
    """A rotated certificate is a new configuration, whichever volume changes first."""

    def test_a_rotation_without_a_new_generation_is_seen(self, tmp_path: Path) -> None:
        """Outside of a cluster, configurations have no fingerprints."""
        files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
        first, second = certificate(), certificate()
        secrets = tmp_path / "secrets"
        publish(secrets, {"tls.crt": first[0], "tls.key": first[1]})
        write(tmp_path / "relay.json", config(domain(tls=files)))
        watch = watching(tmp_path, secrets)
        publish(secrets, {"tls.crt": second[0], "tls.key": second[1]})
        assert applied(watch) == "team-a/chat@1"
        assert watch.in_force.material.key_pairs["tls.crt", "tls.key"].certificate == second[0]

    def test_a_generation_waits_for_its_certificates(self, tmp_path: Path) -> None:
        """The ConfigMap may arrive before the Secret: it is refused, then accepted when the files arrive."""
        first, second = certificate(), certificate()
        secrets = tmp_path / "secrets"

        def naming(pair: tuple[bytes, bytes], generation: str) -> dict[str, object]:
            files = {"certificateFile": "c", "keyFile": "k", "fingerprint": fingerprint(*pair)}
            return config(domain(tls=files), generation=generation)

        publish(secrets, {"c": first[0], "k": first[1]})
        write(tmp_path / "relay.json", naming(first, "g1"))
        watch = watching(tmp_path, secrets)
        write(tmp_path / "relay.json", naming(second, "g2"))
        assert "domains.0.tls.fingerprint" in (refused(watch) or "")
        publish(secrets, {"c": second[0], "k": second[1]})
        assert applied(watch) == "g2"

    def test_files_that_appear_later_are_seen(self, tmp_path: Path) -> None:
        """A configuration that names missing files is accepted when they appear."""
        write(tmp_path / "relay.json", config())
        watch = watching(tmp_path)
        files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
        write(tmp_path / "relay.json", config(domain(tls=files), generation="g2"))
        assert refused(watch) is not None
        pair = certificate()
        (tmp_path / "tls.crt").write_bytes(pair[0])
        (tmp_path / "tls.key").write_bytes(pair[1])
        assert applied(watch) == "g2"


def test_the_state_shows_the_refused_generation(tmp_path: Path) -> None:
    """`GET /config` answers with the generation in force, and the refused one with the reason."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    state = RelayState(generation=watch.in_force.config.generation, draining=False, openConnections=2)
    assert watch.with_refusal(state) == state
    write(path, config(domain(heartbeatSeconds=0), generation="g2"))
    reason = refused(watch)
    shown = watch.with_refusal(state)
    assert (shown.generation, shown.refusedGeneration, shown.refusedReason) == (
        state.generation,
        "g2",
        reason,
    )
    assert shown.openConnections == 2


def test_a_file_that_changes_during_the_load_is_read_at_the_next_poll(tmp_path: Path) -> None:
    """The loaded content may be a mixture of two versions. A FIFO holds the load up until the change."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    chain, key = certificate()
    os.mkfifo(tmp_path / "tls.crt")
    (tmp_path / "tls.key").write_bytes(key)
    files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
    write(path, config(domain(tls=files), generation="g2"))

    def change() -> None:
        with (tmp_path / "tls.crt").open("wb") as stream:  # blocks until the load opens the file too
            write(path, config(generation="g3"))
            stream.write(chain)

    changing = threading.Thread(target=change)
    changing.start()
    assert watch.poll() is None
    changing.join()
    assert applied(watch) == "g3"


async def test_a_refused_configuration_is_logged_once(tmp_path: Path) -> None:
    """`follow` goes on, and applies the next valid configuration."""
    path = write(tmp_path / "relay.json", config())
    watch = watching(tmp_path)
    generations: list[str] = []
    applied_once = asyncio.Event()

    async def apply(loaded: LoadedConfig) -> None:
        generations.append(loaded.config.generation)
        applied_once.set()

    force = asyncio.Event()
    write(path, config(version=2, generation="g2"))
    with capture_logs() as logs:
        following = asyncio.create_task(follow(watch, force, apply))
        async with asyncio.timeout(60):
            while not watch.refusals:
                force.set()
                await asyncio.sleep(0)
            write(path, config(generation="g3"))
            while not applied_once.is_set():
                force.set()
                await asyncio.sleep(0)
        following.cancel()
        await asyncio.wait([following])
    assert generations == ["g3"]
    assert [line["event"] for line in logs] == ["configuration refused", "configuration applied"]
    assert (logs[0]["generation"], logs[0]["in_force"]) == ("g2", "team-a/chat@1")


def test_unknown_fields_are_logged_when_a_configuration_is_applied(tmp_path: Path) -> None:
    """The event names the fields, and the command that lists the known ones."""
    loaded = load(write(tmp_path / "relay.json", config(later=1)), tmp_path)
    with capture_logs() as logs:
        log_applied(loaded)
    assert [line["event"] for line in logs] == ["configuration applied", "unknown fields ignored"]
    assert logs[1]["fields"] == ["later"]
    assert "--schema" in logs[1]["reason"]
