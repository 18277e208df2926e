"""Puts the compiled form of the pump into the wheel, when HATCH_BUILD_HOOK_ENABLE_CUSTOM=true asks for it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledPump(BuildHookInterface[Any]):
    """Compiles into build/, apart from the sources, and names the files for the wheel."""

    def initialize(
        self,
        version: str,  # noqa: ARG002  hatchling names it
        build_data: dict[str, Any],
    ) -> None:
        """Compile; the wheel is then for one platform and one Python."""
        script = Path(self.root, "proxy", "wsedge_relay", "pump", "build.py")
        build = runpy.run_path(str(script))["build"]
        for file in build(Path(self.root, "build", "compiled")):
            build_data["force_include"][str(file)] = f"wsedge_relay/pump/compiled/{file.name}"
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
