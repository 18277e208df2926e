"""Mount paths as real folders, since a process of this machine has no mounts of its own. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A mount path is replaced where a path can begin (at the start of the text, or after a separator of
# arguments: = : , ; quotes brackets white space), and up to the end of its last component.
_BEFORE = r"(?<![^\s=:,;\"'(\[{@])"
_AFTER = r"(?=$|[/\s=:,;\"')\]}])"


def replace_mount_paths(text: str, mounts: Mapping[str, str]) -> str:
    """Return `text` with each mount path at the beginning of a path replaced by its folder, longest first."""
    paths = sorted((path for path in mounts if path != "/"), key=len, reverse=True)
    if not paths:
        return text
    pattern = _BEFORE + "(" + "|".join(re.escape(path.rstrip("/")) for path in paths) + ")" + _AFTER
    folders = {path.rstrip("/"): folder for path, folder in mounts.items()}
    return re.sub(pattern, lambda found: folders[found[1]], text)
