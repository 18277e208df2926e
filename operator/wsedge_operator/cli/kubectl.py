"""Calls of kubectl: its configuration, its credentials and the rights of the user."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from wsedge_operator.errors import KubectlError


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the options that choose a cluster and a namespace."""

    options: tuple[str, ...] = ()
    program: str = "kubectl"

    def run(self, *arguments: str, text: str = "") -> str:
        """Return what kubectl prints; `text` is its standard input. Raises KubectlError.

        A secret is never an argument: every user of the machine can read those.
        """
        try:
            done = subprocess.run(
                [self.program, *self.options, *arguments],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise KubectlError(f"there is no program {self.program!r} in PATH") from None
        if done.returncode:
            raise KubectlError(done.stderr.strip() or f"kubectl ended with {done.returncode}")
        return done.stdout

    def get(self, resource: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None. Raises KubectlError."""
        found = self.run("get", resource, name, "--ignore-not-found", "--output=json")
        return json.loads(found) if found.strip() else None
