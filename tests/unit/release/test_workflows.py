"""The workflow files: what the linter says, by whom actions are pinned, and where they push."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

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
    for name, job in yaml.safe_load(RELEASE.read_text())["jobs"].items():
        if name == "tag":
            assert "permissions" not in job  # it can publish nothing
            continue
        steps = str(job["steps"])
        assert "cosign sign" in steps
        assert "attest-build-provenance" in steps
        assert job["permissions"]["id-token"] == "write"


def check_of_the_tag() -> str:
    (step,) = [each for each in jobs()["tag"]["steps"] if "run" in each]
    return str(step["run"])


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RELEASE.read_text())["jobs"]
    return found


def test_nothing_is_published_before_the_tag_is_checked() -> None:
    """Each other job needs that of the tag, by itself or by one that does."""
    named = {name: job.get("needs", []) for name, job in jobs().items()}
    needs = {name: [given] if isinstance(given, str) else given for name, given in named.items()}
    assert needs.pop("tag") == []
    for given in needs.values():
        assert given
        assert all(each == "tag" or "tag" in needs[each] for each in given)


TAGS = {
    "the version, on main": ("v1.2.3", "main", 0),
    "another version": ("v1.2.4", "main", 1),
    "a version that begins with it": ("v1.2.30", "main", 1),
    "the version, on another branch": ("v1.2.3", "side", 1),
}


@pytest.mark.parametrize(("tag", "branch", "code"), TAGS.values(), ids=TAGS)
def test_the_check_of_the_tag_refuses(tag: str, branch: str, code: int, tmp_path: Path) -> None:
    """Run as the workflow has it, in a clone whose main is that of its origin."""
    person = ("-c", "user.name=a", "-c", "user.email=a@example.com")

    def git(*arguments: str, folder: Path = tmp_path / "origin") -> None:
        subprocess.run(["git", *person, *arguments], cwd=folder, check=True, capture_output=True)

    (tmp_path / "origin").mkdir()
    git("init", "--initial-branch=main")
    (tmp_path / "origin" / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    git("add", ".")
    git("commit", "--message=a")
    git("switch", "--create=side")
    git("commit", "--allow-empty", "--message=b")
    git("clone", str(tmp_path / "origin"), str(tmp_path / "clone"), folder=tmp_path)
    git("switch", "--detach", f"origin/{branch}", folder=tmp_path / "clone")
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", check_of_the_tag()],
        cwd=tmp_path / "clone",
        env=os.environ | {"VERSION": tag},
        capture_output=True,
        check=False,
    )
    assert done.returncode == code, done.stderr


def test_a_push_that_fails_is_not_hidden_by_a_pipe() -> None:
    """GitHub's default shell has no pipefail; bash by name has it."""
    assert yaml.safe_load(RELEASE.read_text())["defaults"] == {"run": {"shell": "bash"}}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_script_contains_an_expression(workflow: Path) -> None:
    """The name of a tag or a branch is somebody's text: scripts get it by the environment."""
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
