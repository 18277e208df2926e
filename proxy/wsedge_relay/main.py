"""`wsedge-relay`: read settings and a configuration, then run as one process or as a supervisor of workers.

Exit codes: 0 after a drain, 1 after a program fault, 2 for wrong settings, a wrong configuration, or an
address or spool folder that is not available.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence

import structlog

from wsedge_relay.config.load import LoadedConfig, load
from wsedge_relay.contract import RelayConfig
from wsedge_relay.errors import CannotListenError, ConfigRefusedError, SettingsError, SpoolUnavailableError
from wsedge_relay.logs import configure
from wsedge_relay.process.relay_process import raise_file_limit
from wsedge_relay.process.single import run_single
from wsedge_relay.pump.selector import Form, PumpSelector, choose
from wsedge_relay.settings import Settings, read_settings

_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if given[:1] == ["drain"]:
            from wsedge_relay.process import drain_command

            return drain_command.main(given[1:])
        settings = read_settings(given)
        if settings is None:
            print(json.dumps(RelayConfig.model_json_schema(), indent=2))  # noqa: T201  data goes to stdout
            return 0
        configure(settings.log_format, settings.log_level)
        form = choose(settings.pump)
        loaded = load(settings.config, settings.certificates)
    except SettingsError as error:
        for problem in error.problems:
            print(f"wsedge-relay: {problem}", file=sys.stderr)  # noqa: T201  for a person at a prompt
        return 2
    except ConfigRefusedError as error:
        for problem in error.problems:
            print(f"wsedge-relay: {error.file}: {problem}", file=sys.stderr)  # noqa: T201
        return 2
    _log.info("starting", files=raise_file_limit(), **settings.model_dump(mode="json"))
    _log.info("pump chosen", form=form.name, reason=form.reason)
    try:
        return _run(settings, loaded, form)
    except (CannotListenError, SpoolUnavailableError) as error:
        print(f"wsedge-relay: {error}", file=sys.stderr)  # noqa: T201
        return 2


def _run(settings: Settings, loaded: LoadedConfig, form: Form) -> int:
    if settings.workers > 1:
        from wsedge_relay.process.supervisor import supervise  # imported here: one process saves its memory

        return asyncio.run(supervise(settings, loaded))
    selector = PumpSelector(form=form)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(run_single(settings, loaded, selector))
