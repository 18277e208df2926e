"""From image and command to a program of this machine.

There are two images: ours, whose commands are the console scripts of the running installation, and that of
the examples, whose commands run in the examples folder with the same Python. No other can be pulled, but
those that the cluster's starter has named: they run our commands from sources of another version.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsedge_devcluster.errors import ContainerError

_PRODUCT = re.compile(r"(.+/)?wsedge/wsedge(:[\w.-]+)?(@sha256:[0-9a-f]+)?")
_EXAMPLES = re.compile(r"(.+/)?wsedge/examples(:[\w.-]+)?(@sha256:[0-9a-f]+)?")
_SOURCES = ("operator", "proxy", "statistics")
EXAMPLES_FOLDER = Path(__file__).resolve().parents[3] / "examples"
# The folder of the interpreter's link, not of its target: console scripts are beside the link.
PROGRAMS = Path(sys.executable).parent
PATH = f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """A known image: the working folder of its containers (None: their own), and its variables."""

    name: str
    folder: Path | None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Images:
    """Every image that a node can run.

    `others` are sources by image name, `variables` the environment of our own images.
    """

    others: Mapping[str, Path] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Image:
        """Return the image of this name. Raises ContainerError (ErrImagePull)."""
        if name in self.others:
            folders = (str(self.others[name] / each) for each in _SOURCES)
            return Image(name, None, {"PYTHONPATH": ":".join(folders)})
        if _PRODUCT.fullmatch(name):
            return Image(name, None, self.variables)
        if _EXAMPLES.fullmatch(name):
            return Image(name, EXAMPLES_FOLDER, self.variables)
        raise ContainerError(
            "ErrImagePull",
            f'failed to pull and unpack image "{name}": not found: '
            "this node runs only images */wsedge/wsedge and */wsedge/examples",
        )


def program(command: Sequence[str]) -> list[str]:
    """Return the command with its program's full path; raises ContainerError when there is none."""
    if not command:
        raise ContainerError("CreateContainerError", "no command specified")
    name = "python3" if command[0] == "python" else command[0]
    found = shutil.which(name, path=PATH)
    if found is None:
        raise ContainerError(
            "RunContainerError",
            "failed to create containerd task: failed to start container: "
            f'exec: "{command[0]}": executable file not found in $PATH',
        )
    return [found, *command[1:]]
