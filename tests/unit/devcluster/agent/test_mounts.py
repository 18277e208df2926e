"""Mount paths as real folders."""

from __future__ import annotations

import pytest

from wsedge_devcluster.agent.mounts import replace_mount_paths

MOUNTS = {"/etc/app": "/real/app", "/etc/app/keys": "/real/keys", "/data/": "/real/data", "/": "/real/root"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/etc/app", "/real/app", id="the path itself"),
        pytest.param("/etc/app/file.json", "/real/app/file.json", id="a file below it"),
        pytest.param(
            "--config=/etc/app/file.json", "--config=/real/app/file.json", id="after an equals sign"
        ),
        pytest.param("/etc/app:/data", "/real/app:/real/data", id="two in a search path"),
        pytest.param("/etc/app/keys/tls.key", "/real/keys/tls.key", id="the longest mount wins"),
        pytest.param('{"path": "/data/db"}', '{"path": "/real/data/db"}', id="quoted inside of JSON"),
        pytest.param(
            "cat /data/a > /data/b", "cat /real/data/a > /real/data/b", id="words of a shell command"
        ),
        pytest.param("/etc/application", "/etc/application", id="a longer name is another path"),
        pytest.param("/etc/app-2", "/etc/app-2", id="a name with a hyphen is another path"),
        pytest.param("/srv/etc/app", "/srv/etc/app", id="in the middle of a path it is another path"),
        pytest.param("https://host/data/x", "https://host/data/x", id="a URL's path is no mount path"),
        pytest.param("/usr/bin", "/usr/bin", id="a mount at the root replaces nothing"),
    ],
)
def test_replace(text: str, expected: str) -> None:
    """Mount paths are replaced where a path begins and at whole components, and nowhere else."""
    assert replace_mount_paths(text, MOUNTS) == expected


def test_without_mounts() -> None:
    """Without mounts a text stays as it is."""
    assert replace_mount_paths("/data", {}) == "/data"
