"""The ledger as one SQLite file.

    store    the ledger: the connection that writes, and read-only connections
    reads    questions as SQL
    writes   merges as SQL
    schema   tables, and how connections are opened
    place    the folder of a ledger: local disks only, one process at a time

Never imports `asking` or a route.
"""
