"""The cases of h2spec, a public program that tests HTTP/2 servers, against a relay before a real server."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support.go_program import go_program
from support.relay.certificates import authority
from support.relay.http2_relay import TLS
from support.relay.plain import site
from support.relay.running import DEADLINE, on_pump_loop, running
from wsedge_relay.config.material import Material

SOURCES = Path(__file__).parents[3] / "support" / "relay" / "h2spec"
NOT_PASSED = ("failure", "error", "skipped")
DOMAIN = "localhost"  # h2spec resolves the name that it sends


@pytest.mark.usefixtures("each_form")
@on_pump_loop
async def test_every_case_of_h2spec_passes(tmp_path: Path) -> None:
    """HTTP/2 and HPACK behave as RFC 7540 and 7541 require; the 146th case is of `--strict`."""
    program = await asyncio.to_thread(
        go_program, "h2spec", SOURCES, "github.com/summerwind/h2spec/cmd/h2spec"
    )
    material = Material({("tls.crt", "tls.key"): authority().issue(DOMAIN)})
    report = tmp_path / "report.xml"
    async with site() as port, running(port, domain=DOMAIN, tls=TLS, material=material) as relay:
        _, https = relay.relay.addresses["https"]
        options = ("--strict", "--tls", "--insecure", "--host", DOMAIN, "--port", str(https))
        process = await asyncio.create_subprocess_exec(
            program, *options, "--junit-report", report, stdout=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(5 * DEADLINE):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    cases = ElementTree.parse(report).findall(".//testcase")
    odd = [case.attrib for case in cases if any(case.find(name) is not None for name in NOT_PASSED)]
    assert (process.returncode, odd, len(cases)) == (0, [], 146), said.decode()
