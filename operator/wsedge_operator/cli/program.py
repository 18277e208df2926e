"""What starts `kubectl-wsedge` and `kubectl_complete-wsedge`.

Until the modules of a verb are loaded, which takes a part of a second, SIGINT ends the process without a
word.
"""

from __future__ import annotations

import signal


def plugin() -> None:
    """Run a verb."""
    _end_at_once()
    from wsedge_operator.cli.plugin import main

    main()


def complete() -> None:
    """Print what may follow the words of a line."""
    _end_at_once()
    from wsedge_operator.cli.completion import main

    main()


def _end_at_once() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
