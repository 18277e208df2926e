"""Fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support.clients.program import Program
from support.clients.stage import Files, node_clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(files: Files) -> AsyncIterator[Program]:
    """Run the clients in Node, for the module's own files."""
    async with node_clients(files) as program:
        yield program
