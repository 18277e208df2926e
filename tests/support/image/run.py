"""A command in an image's root: a chroot in its own mount namespace, on the host's network."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# As a container runtime does: the root read-only, folders of the host at their places, devices and processes.
_ENTER = """
set -e
root=$1 user=$2 mounts=$3
shift 3
mount --bind "$root" "$root"
for mount in $mounts; do
  mount --rbind "${mount%%:*}" "$root${mount#*:}"
done
mount -o remount,ro,bind "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cd "$root"
exec chroot --userspec="$user" --groups= . "$@"
"""
_SECONDS = 60.0


@dataclass(frozen=True)
class Image:
    """The files of an image, its user and its environment."""

    root: Path
    user: str
    environment: Mapping[str, str]

    @property
    def packages(self) -> Path:
        """Return the folder of its Python packages."""
        (found,) = self.root.glob("opt/wsedge/lib/python3.*/site-packages")
        return found

    def run(self, user: str, *command: str) -> str:
        """Run a command; return its stdout and stderr. It must succeed."""
        done = subprocess.run(
            self._enter(user, {}, {}, command), capture_output=True, text=True, timeout=_SECONDS
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def start(
        self, user: str, *command: str, mounts: Mapping[Path, str], environment: Mapping[str, str]
    ) -> Iterator[Running]:
        """Start a server; `mounts` maps paths in the image to folders of this machine."""
        process = subprocess.Popen(
            self._enter(user, mounts, environment, command),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield Running(process)
            process.terminate()
            assert process.wait(_SECONDS) == 0
        finally:
            process.kill()
            process.communicate()

    def _enter(
        self, user: str, mounts: Mapping[Path, str], environment: Mapping[str, str], command: tuple[str, ...]
    ) -> list[str]:
        for target in mounts.values():
            place = self.root / target.lstrip("/")
            # A link in the image (/var/run) would lead to a folder of this machine.
            assert place.resolve().is_relative_to(self.root), f"{target} is reached through a link"
            place.mkdir(parents=True, exist_ok=True)
        places = " ".join(f"{source}:{target}" for source, target in mounts.items())
        pairs = [f"{name}={value}" for name, value in (dict(self.environment) | dict(environment)).items()]
        enter = ["unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "enter"]
        return [*enter, str(self.root), user, places, "env", "-i", *pairs, *command]


@dataclass(frozen=True)
class Running:
    """A program of the image; its log is JSON lines."""

    process: subprocess.Popen[str]

    def event(self, name: str) -> dict[str, Any]:
        """Return the log's next line with this event."""
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith("{") and (found := json.loads(line))["event"] == name:
                return dict(found)
        raise AssertionError(f"ended without {name!r}:\n{''.join(said)}")

    def ask(self, port: int, path: str) -> str:
        """Return the body of a 200; repeat the request while the answer is 503."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as error:
                with error:
                    if error.code != 503 or time.monotonic() > deadline:
                        raise
                time.sleep(0.2)
