"""Reconcilers, one per kind of key: gather a snapshot, decide, carry the outcome out.

    account     plans, record and copy of a namespace
    domain      a WebSocketDomain and its children
    directory   the Directory of the statistics

`main` gives them to the controller, which knows no kind.
"""
