"""What every browser's page does: it evaluates JavaScript."""

from __future__ import annotations

from typing import Any, Protocol


class ScriptError(Exception):
    """A script in the page threw this, or its promise was rejected with it."""


class Scripted(Protocol):
    """A page of a running browser."""

    async def evaluate(self, expression: str) -> Any:
        """Return the value of JavaScript, or of its promise; raises ScriptError."""
