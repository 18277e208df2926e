"""The ledger as one SQLite file.

    store    the ledger: the connection that writes, and read-only connections
    reads    questions as SQL
    writes   merges as SQL
    schema   tables, and how a file is opened
    place    on which file systems a ledger may lie

Never imports a route.
"""
