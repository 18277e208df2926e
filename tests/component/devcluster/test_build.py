"""Builds: the cache, the lock, failures, and the choice of Go."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from wsedge_devcluster.binaries import build, kubernetes
from wsedge_devcluster.binaries.cache import cache_folder, only_one
from wsedge_devcluster.binaries.golang import find_go, version_of
from wsedge_devcluster.errors import BuildError, StartError

# Acts as Go: prints versions and packages, "compiles" two packages, and writes a binary or fails.
GO = """#!/bin/sh
fail=%s
case "$1 $*" in
  version*) echo "go version go%s linux/amd64" ;;
  "list "*-m*) echo v1.36.3 "$(dirname "$0")/kubernetes" ;;
  list*) printf 'a\\nb\\nc\\n' ;;
  build*)
    echo a >&2; echo b >&2
    if [ $fail = 1 ]; then echo "cmd/x.go:1: syntax error" >&2; exit 1; fi
    while [ "$1" != -o ]; do shift; done; echo binary > "$2" ;;
esac
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a Go of the test on the PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    (tmp_path / "bin").mkdir()
    return tmp_path / "cache" / "wsedge"


def put_go(tmp_path: Path, version: str = "1.26.1", *, fail: bool = False) -> Path:
    go = tmp_path / "bin" / "go"
    go.write_text(GO % (int(fail), version))
    go.chmod(0o755)
    put_kubernetes(go.with_name("kubernetes"))
    return go


def put_kubernetes(module: Path, line: str = kubernetes.BEFORE) -> Path:
    for name in ("cmd/x.go", "plugin/x.go", "third_party/x.go", "go.mod", "go.sum", kubernetes.FILE):
        file = module / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"if {line} {{\n" if name == kubernetes.FILE else "package x\n")
    return module


def test_built_once(cache: Path, tmp_path: Path) -> None:
    """The first call builds and reports progress; the second finds the cache and reports nothing."""
    put_go(tmp_path)
    said: list[str] = []
    binaries = build.ensure_binaries(said.append)
    assert binaries["helm"].read_text() == "binary\n"
    assert binaries["kube-apiserver"].resolve().name == "controlplane"
    assert binaries["etcd"].is_relative_to(cache)
    assert any("building controlplane" in text for text in said)
    said.clear()
    build.ensure_binaries(said.append)
    assert said == []


def test_failure_names_command_and_log(cache: Path, tmp_path: Path) -> None:
    """A failed build names the command, the log's file and its last lines; the next call builds again."""
    put_go(tmp_path, fail=True)
    with pytest.raises(BuildError) as caught:
        build.ensure_binaries(lambda _text: None)
    text = str(caught.value)
    assert "go build -v -trimpath" in text
    assert "controlplane.log" in text
    assert "syntax error" in text
    put_go(tmp_path)
    assert build.ensure_binaries(lambda _text: None)["helm"].exists()


def test_second_builder_waits(cache: Path, tmp_path: Path) -> None:
    """While another process builds, the second reports that it waits, and then uses the first's programs."""
    put_go(tmp_path)
    lock = build.cached_folder().with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    waiting = threading.Event()
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        second = threading.Thread(target=build.ensure_binaries, args=(lambda _text: waiting.set(),))
        second.start()
        assert waiting.wait(30)
        assert not (build.cached_folder() / "complete").exists()
    second.join(60)
    assert (build.cached_folder() / "complete").exists()


def test_a_free_lock_is_acquired_without_a_report(tmp_path: Path) -> None:
    """Only a wait is reported."""
    said: list[str] = []
    with only_one(tmp_path / "lock", said.append):
        assert said == []


def test_given_binaries(tmp_path: Path, cache: Path) -> None:
    """KUBEBUILDER_ASSETS wins over the cache; the programs that it lacks are built."""
    put_go(tmp_path)
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in build.ENVTEST:
        (assets / name).touch()
    binaries = build.ensure_binaries(lambda _text: None, {"KUBEBUILDER_ASSETS": str(assets)})
    assert binaries["etcd"] == assets / "etcd"
    assert binaries["helm"].is_relative_to(cache)


def test_given_binaries_incomplete(tmp_path: Path) -> None:
    """The error names the programs that the folder lacks."""
    with pytest.raises(StartError, match="lacks etcd, kube-apiserver, kubectl"):
        build.ensure_binaries(lambda _text: None, {"KUBEBUILDER_ASSETS": str(tmp_path)})


def test_go_from_path(cache: Path, tmp_path: Path) -> None:
    """A Go on the PATH that is new enough is used."""
    go = put_go(tmp_path, "1.30")
    assert find_go((1, 26), lambda _text: None) == go


def test_go_from_cache_when_path_is_too_old(cache: Path, tmp_path: Path) -> None:
    """A Go on the PATH that is too old is not used; an installed Go in the cache is."""
    installed = cache_folder() / "go-1.26" / "go" / "bin" / "go"
    installed.parent.mkdir(parents=True)
    put_go(tmp_path, "1.26.8").rename(installed)
    old = put_go(tmp_path, "1.22.1")
    assert version_of(old) == (1, 22)
    assert find_go((1, 26), lambda _text: None) == installed


def test_the_changed_line_is_built_and_the_module_cache_keeps_its_own(tmp_path: Path) -> None:
    """Files are links to the module cache, except for the one that is changed."""
    module = put_kubernetes(tmp_path / "module")
    (tmp_path / "out").mkdir()
    made = kubernetes.changed_module(module, build.SOURCES, tmp_path / "out")
    copy = tmp_path / "out" / "kubernetes"
    assert kubernetes.AFTER in (copy / kubernetes.FILE).read_text()
    assert kubernetes.AFTER not in (module / kubernetes.FILE).read_text()
    assert (copy / "cmd" / "x.go").read_text() == "package x\n"
    assert f"replace k8s.io/kubernetes => {copy}\n" in made.read_text()
    assert made.with_name("go.sum").read_bytes() == (build.SOURCES / "go.sum").read_bytes()


def test_another_kubernetes_without_that_line_stops_the_build(tmp_path: Path) -> None:
    """An update must not build an API server that silently lacks the change."""
    module = put_kubernetes(tmp_path / "module", "ip == nil")
    with pytest.raises(StartError, match="no single line"):
        kubernetes.changed_module(module, build.SOURCES, tmp_path)
