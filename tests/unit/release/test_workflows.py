"""The workflow files: what the linter says, by whom actions are pinned, and where they push."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support.workflows import lint

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"


def test_the_linter_finds_nothing() -> None:
    """Actionlint accepts every workflow."""
    assert len(WORKFLOWS) >= 2
    assert lint(*WORKFLOWS) == ""


def test_the_linter_finds_a_fault(tmp_path: Path) -> None:
    """A job that needs one that does not exist is named, so an empty answer means something."""
    broken = tmp_path / "broken.yml"
    broken.write_text(RELEASE.read_text().replace("needs: [image,", "needs: [picture,"))
    assert 'needs job "picture" which does not exist' in lint(broken)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    """A tag of an action can be moved; a commit cannot. The version stands beside it."""
    for used in re.findall(r"uses: (.+)$", workflow.read_text(), re.MULTILINE):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


def test_the_registry_is_a_variable_of_the_repository() -> None:
    """No workflow names a host of packages or images, and only a job that needs a right has it."""
    for path in WORKFLOWS:
        text = path.read_text()
        assert not re.search(r"\b(ghcr|docker|quay|pypi|gcr)\.(io|org|com)\b", text)
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {"contents": "read"}
    assert "${{ vars.REGISTRY }}" in RELEASE.read_text()


def test_everything_that_is_published_is_signed_and_has_its_provenance() -> None:
    """Each job that publishes signs with cosign, and attests by the digest."""
    for job in yaml.safe_load(RELEASE.read_text())["jobs"].values():
        steps = str(job["steps"])
        assert "cosign sign" in steps
        assert "attest-build-provenance" in steps
        assert job["permissions"]["id-token"] == "write"
