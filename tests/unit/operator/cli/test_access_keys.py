"""`kubectl wsedge accesskey`, with a program in kubectl's place that stores one Secret in a file."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from wsedge_operator.cli import access_keys
from wsedge_operator.cli.kubectl import Kubectl
from wsedge_operator.cli.plugin import main
from wsedge_operator.errors import AccessKeyError, KubectlError
from wsedge_statistics.contract import MOST_ACCESS_KEYS

# Prints, creates and patches the Secret in secret.json beside it, and records its calls.
PROGRAM = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
store, arguments = here / "secret.json", sys.argv[1:]
text = "" if arguments[0] == "get" or "get" in arguments else sys.stdin.read()
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([arguments, text]) + "\\n")
if "get" in arguments:
    sys.stdout.write(store.read_text() if store.exists() else "")
elif "create" in arguments:
    if (here / "taken").exists():
        (here / "taken").rename(store)
        sys.exit('Error from server (AlreadyExists): secrets "wsedge-access-keys" already exists')
    if (here / "refuse").exists():
        sys.exit("Error from server (Forbidden): no")
    store.write_text(text)
else:
    live = json.loads(store.read_text())
    if text:
        live["data"].update(json.loads(text)["data"])
    else:
        (change,) = json.loads(arguments[-1].removeprefix("--patch="))
        del live["data"][change["path"].removeprefix("/data/")]
    store.write_text(json.dumps(live))
"""
SECRET = {"type": "wsedge.io/access-keys", "metadata": {"name": "wsedge-access-keys"}}


class Fake:
    """The program, what it stores, and the calls that it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "kubectl"
        program.write_text(PROGRAM.format(python=sys.executable))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.kubectl = Kubectl((), str(program))

    def store(self, keys: dict[str, str], name: str = "secret.json", **changes: Any) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
        (self.folder / name).write_text(json.dumps({**SECRET, "data": data, **changes}))

    @property
    def stored(self) -> Any:
        return json.loads((self.folder / "secret.json").read_text())

    @property
    def calls(self) -> list[Any]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


def printed(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"AccessKeyId: (LTAI[A-Za-z0-9]{20})\nAccessKeySecret: ([A-Za-z0-9]{40})\n", text)
    assert found is not None, text
    return found[1], found[2]


def test_the_first_key_makes_the_secret(fake: Fake) -> None:
    """Of the type that the statistics read, with what was printed."""
    key_id, secret = printed(access_keys.create(fake.kubectl))
    assert (fake.stored["type"], fake.stored["metadata"]) == (SECRET["type"], SECRET["metadata"])
    assert {key: base64.b64decode(value) for key, value in fake.stored["data"].items()} == {
        key_id: secret.encode()
    }


def test_a_further_key_leaves_the_others(fake: Fake) -> None:
    """Also where somebody else made the Secret at the same time."""
    fake.store({"LTAIfirst": "s"})
    second, _ = printed(access_keys.create(fake.kubectl))
    assert sorted(fake.stored["data"]) == sorted(["LTAIfirst", second])
    (fake.folder / "secret.json").unlink()
    fake.store({"LTAItheirs": "s"}, "taken")
    third, _ = printed(access_keys.create(fake.kubectl))
    assert sorted(fake.stored["data"]) == sorted(["LTAItheirs", third])


def test_no_secret_is_an_argument_of_a_program(fake: Fake) -> None:
    """Other users of the machine can read arguments."""
    secrets = [printed(access_keys.create(fake.kubectl))[1] for _ in range(2)]
    arguments = json.dumps([call[0] for call in fake.calls])
    for secret in secrets:
        assert secret not in arguments
        assert base64.b64encode(secret.encode()).decode() not in arguments


def test_keys_are_listed_without_their_secrets(fake: Fake) -> None:
    """With their state."""
    assert access_keys.list_keys(fake.kubectl) == "There are no access keys.\n"
    annotations = {"wsedge.io/inactive-access-keys": "LTAItwo, other"}
    fake.store({"LTAItwo": "s", "LTAI1": "s"}, metadata={"annotations": annotations})
    assert access_keys.list_keys(fake.kubectl) == "ID       STATE\nLTAI1    Active\nLTAItwo  Inactive\n"


def test_a_revoked_key_is_removed_alone(fake: Fake) -> None:
    """A key that does not exist is told."""
    with pytest.raises(AccessKeyError, match="there is no access key 'LTAI1'"):
        access_keys.revoke(fake.kubectl, "LTAI1")
    fake.store({"LTAI1": "s", "LTAI2": "s"})
    assert access_keys.revoke(fake.kubectl, "LTAI1") == "access key LTAI1 revoked\n"
    assert list(fake.stored["data"]) == ["LTAI2"]
    with pytest.raises(AccessKeyError):
        access_keys.revoke(fake.kubectl, "LTAI1")


def test_what_would_be_no_key_is_not_made(fake: Fake) -> None:
    """A Secret of another type, and one that is full."""
    fake.store({}, type="Opaque")
    with pytest.raises(AccessKeyError, match="of type Opaque, so its entries are no access keys"):
        access_keys.create(fake.kubectl)
    fake.store({f"LTAI{number}": "s" for number in range(MOST_ACCESS_KEYS)})
    with pytest.raises(AccessKeyError, match=f"{MOST_ACCESS_KEYS} access keys already"):
        access_keys.create(fake.kubectl)


def test_the_words_of_kubectl_are_passed_on(fake: Fake) -> None:
    """A missing right; and a missing program."""
    (fake.folder / "refuse").touch()
    with pytest.raises(KubectlError, match="Forbidden"):
        access_keys.create(fake.kubectl)
    with pytest.raises(KubectlError, match="there is no program 'no-such-program'"):
        access_keys.create(Kubectl((), "no-such-program"))
    with pytest.raises(KubectlError, match="kubectl ended with 1"):
        Kubectl((), "false").run("get")


def test_the_command_finds_kubectl_and_names_the_cluster(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options as kubectl's; a failure is one line and exit code 1."""
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    main(["accesskey", "create", "-n", "team-a", "--context", "c", "--kubeconfig", "/k"])
    key_id, _ = printed(capsys.readouterr().out)
    assert fake.calls[0][0][:3] == ["--namespace=team-a", "--context=c", "--kubeconfig=/k"]
    main(["accesskey", "list"])
    assert key_id in capsys.readouterr().out
    main(["accesskey", "revoke", key_id])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["accesskey", "revoke", key_id])
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"kubectl-wsedge: there is no access key {key_id!r}\n"
