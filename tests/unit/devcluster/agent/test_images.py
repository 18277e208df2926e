"""From image and command to a program of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsedge_devcluster.agent.images import EXAMPLES_FOLDER, Images, program
from wsedge_devcluster.errors import ContainerError


@pytest.mark.parametrize(
    "name",
    ["ghcr.io/wsedge/wsedge:0.1.0", "wsedge/wsedge", "localhost:5000/x/wsedge/wsedge@sha256:" + "0" * 64],
)
def test_own_image(name: str) -> None:
    """Our image is known under any registry, tag or digest."""
    assert Images().find(name).folder is None


def test_examples_image() -> None:
    """The examples' image runs in the folder of the examples."""
    assert Images().find("ghcr.io/wsedge/examples:0.1.0").folder == EXAMPLES_FOLDER


def test_image_of_another_version() -> None:
    """An image that the starter named runs our commands from its sources; others have our environment."""
    others = {"ghcr.io/wsedge/wsedge:0.0.1": Path("/old")}
    images = Images(others, {"A": "1"})
    image = images.find("ghcr.io/wsedge/wsedge:0.0.1")
    assert image.environment == {"PYTHONPATH": "/old/operator:/old/proxy:/old/statistics"}
    assert images.find("ghcr.io/wsedge/wsedge:0.0.2").environment == {"A": "1"}


@pytest.mark.parametrize("name", ["nginx", "wsedge", "wsedge/wsedge-evil:1", "evilwsedge/wsedge:1:2"])
def test_unknown_image(name: str) -> None:
    """Any other image cannot be pulled."""
    with pytest.raises(ContainerError, match="ErrImagePull"):
        Images().find(name)


def test_program() -> None:
    """A console script of this installation is found; no command and an unknown one are errors."""
    assert program(["wsedge-relay", "--x"])[1:] == ["--x"]
    assert Path(program(["python", "-V"])[0]).name == "python3"
    with pytest.raises(ContainerError, match="no command specified"):
        program([])
    with pytest.raises(ContainerError, match="executable file not found"):
        program(["no-such-program"])
