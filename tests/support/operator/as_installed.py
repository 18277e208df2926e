"""Import first: hides the packages that a development environment has and an image has not.

structlog imports rich where it is installed; here a linter needs it.
"""

from __future__ import annotations

import sys
from typing import Any, cast

cast(Any, sys.modules)["rich"] = None  # an import of it fails
