"""The one line of Kubernetes that the build changes.

The API server refuses to proxy to a pod with a loopback address (the subresource `proxy` of pods), because in
a cluster such an address is the API server's own machine. Here every pod has an address in 127.0.0.0/8, and
each is a process of this machine, so that line lets them pass. All else is Kubernetes as it was released.

Go replaces no file of its module cache (`-overlay`), so the build uses a copy of the module, made of hard
links where the file system has them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from wsedge_devcluster.errors import StartError

MODULE: Final = "k8s.io/kubernetes"
FILE: Final = "pkg/registry/core/pod/strategy.go"
BEFORE: Final = "ip == nil || !ip.IsGlobalUnicast()"
AFTER: Final = "ip == nil || (!ip.IsGlobalUnicast() && !ip.IsLoopback())"
KEY: Final = f"{FILE}: {AFTER}"
"""A part of the cache key: binaries without the change are built anew."""
COPY: Final = "kubernetes"  # the folder with the changed copy, beside the binaries
_PARTS: Final = ("cmd", "pkg", "plugin", "third_party", "go.mod", "go.sum")


def changed_module(original: Path, sources: Path, folder: Path) -> Path:
    """Return a go.mod, in `folder`, that builds `sources` with a changed copy of the module at `original`.

    Raises StartError when the line is not there exactly once.
    """
    text = (original / FILE).read_text()
    if text.count(BEFORE) != 1:
        raise StartError("go build", f"{original / FILE} has no single line with: {BEFORE}")
    copy = folder / COPY
    shutil.rmtree(copy, ignore_errors=True)
    for part in _PARTS:
        _link_tree(original / part, copy / part)
    (copy / FILE).unlink()  # else the write would change the module cache's own file
    (copy / FILE).write_text(text.replace(BEFORE, AFTER))
    shutil.copyfile(sources / "go.sum", folder / "go.sum")
    module = folder / "go.mod"
    module.write_text(f"{(sources / 'go.mod').read_text()}\nreplace {MODULE} => {copy}\n")
    return module


def _link_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True)
        for entry in source.iterdir():
            _link_tree(entry, target / entry.name)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
