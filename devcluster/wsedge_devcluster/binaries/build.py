"""Builds the control plane and Helm from their Go modules, once per state of the sources.

The cache key is a hash of the sources (go.mod, go.sum and each file in Go), the platform and the changed line
of Kubernetes. go.mod names the Go version, so a newer wish for Go is a new key too.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsedge_devcluster.binaries.cache import Progress, cache_folder, only_one
from wsedge_devcluster.binaries.golang import find_go, platform_tag, wanted_version
from wsedge_devcluster.binaries.kubernetes import COPY, KEY, MODULE, changed_module
from wsedge_devcluster.errors import BuildError, StartError

SOURCES = Path(__file__).resolve().parents[2] / "go"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
# The programs that a folder named by KUBEBUILDER_ASSETS must have (controller-runtime's envtest convention).
ENVTEST = ("etcd", "kube-apiserver", "kubectl")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The path of each program: the names of COMPONENTS, and helm."""

    paths: Mapping[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.paths[name]


def source_hash(sources: Path, platform: str) -> str:
    """Return sixteen hex digits over the sources' names and contents, and the platform."""
    digest = hashlib.sha256(platform.encode())
    # A module that requires no other has no go.sum.
    locks = [file for file in (sources / "go.mod", sources / "go.sum") if file.exists()]
    files = [*locks, *sorted(sources.rglob("*.go"))]
    for file in files:
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(sources)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def ensure_binaries(progress: Progress, environ: Mapping[str, str] = os.environ) -> Binaries:
    """Return ready binaries: those of KUBEBUILDER_ASSETS, and the rest from the cache, built when missing.

    Raises BuildError, MissingGoError, or StartError when KUBEBUILDER_ASSETS lacks a program it must have.
    """
    given: dict[str, Path] = {}
    if assets := environ.get("KUBEBUILDER_ASSETS"):
        given = {
            name: Path(assets) / name for name in (*COMPONENTS, "helm") if (Path(assets) / name).exists()
        }
        if missing := [name for name in ENVTEST if name not in given]:
            raise StartError("KUBEBUILDER_ASSETS", f"{assets} lacks {', '.join(missing)}")
    if all(name in given for name in (*COMPONENTS, "helm")):
        return Binaries(given)
    return Binaries(_cached(progress) | given)


def cached_folder() -> Path:
    """Return the folder for the binaries of the present sources."""
    return cache_folder() / "devcluster" / source_hash(SOURCES, f"{platform_tag()}\0{KEY}")


def _cached(progress: Progress) -> dict[str, Path]:
    folder = cached_folder()
    if not (folder / "complete").exists():
        with only_one(folder.with_suffix(".lock"), progress):
            if not (folder / "complete").exists():
                _build_all(folder, progress)
    return {name: folder / "bin" / name for name in (*COMPONENTS, "helm")}


def _build_all(folder: Path, progress: Progress) -> None:
    go = find_go(wanted_version((SOURCES / "go.mod").read_text()), progress)
    binaries = folder / "bin"
    binaries.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for program in ("controlplane", "helm"):
        _build(go, program, folder, progress)
    shutil.rmtree(folder / COPY)
    for name in COMPONENTS:
        (binaries / name).unlink(missing_ok=True)
        (binaries / name).symlink_to("controlplane")
    (folder / "complete").touch()
    progress(f"built into {binaries} in {time.monotonic() - started:.0f} s")


def _build(go: Path, program: str, folder: Path, progress: Progress) -> None:
    """One `go build`, made visible: packages compiled so far and time, whenever either has changed."""
    log = folder / f"{program}.log"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    progress(f"building {program}: fetching its modules (the first build takes some minutes)")
    asked = [str(go), "list", "-m", "-f", "{{.Version}} {{.Dir}}", MODULE]
    version, _, kubernetes = _output(asked, log, environment).strip().partition(" ")
    module = changed_module(Path(kubernetes), SOURCES, folder)
    total = len(_output([str(go), "list", "-deps", f"./cmd/{program}"], log, environment).split())
    target = folder / "bin" / program
    command = [str(go), "build", "-v", "-trimpath", "-ldflags", _linker_flags(version)]
    command += ["-modfile", str(module)]
    command += ["-o", f"{target}.new", f"./cmd/{program}"]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=SOURCES, env=environment, stdout=output, stderr=output)
    ticker = threading.Event()
    started = time.monotonic()
    watcher = threading.Thread(
        target=_watch_build, args=(program, log, total, started, ticker, progress), daemon=True
    )
    watcher.start()
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        ticker.set()
        watcher.join()
    if code != 0:
        raise BuildError(f"cd {SOURCES} && CGO_ENABLED=0 {shlex.join(command)}", log)
    shutil.move(f"{target}.new", target)


def _watch_build(
    program: str, log: Path, total: int, started: float, ended: threading.Event, progress: Progress
) -> None:
    while not ended.wait(5.0):
        compiled = log.read_bytes().count(b"\n")
        elapsed = time.monotonic() - started
        # Packages that Go's own cache has are not compiled, so the number need not reach the total.
        progress(f"building {program}: {compiled} of at most {total} packages compiled, {elapsed:.0f} s")


def _output(command: list[str], log: Path, environment: dict[str, str]) -> str:
    with log.open("w") as errors:
        result = subprocess.run(
            command,
            cwd=SOURCES,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise BuildError(f"cd {SOURCES} && {shlex.join(command)}", log)
    return result.stdout


def _linker_flags(version: str) -> str:
    """Stamp the version in: without it kubectl and discovery clients report one that cannot be parsed."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    flags = ["-s", "-w"]
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        flags += [f"-X {package}.{name}={value}" for name, value in values.items()]
    return " ".join(flags)
