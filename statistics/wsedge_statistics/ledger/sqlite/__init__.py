"""The ledger as one SQLite file.

    store       the ledger: the connection that writes, and read-only connections
    reads       answers from questions' SQL
    questions   the SQL of questions, by grain
    writes      merges of reports
    totals      sums over sources, recomputed from rows
    retention   deletions
    keys        interned keys and scopes
    migration   from schema 1, in steps while the program runs
    packed      the packed series of schema 1
    tenancy     the Directory and the tenures
    state       numbers remembered by name
    connections how connections are opened, and transactions
    schema      tables
    copies      backup, restore, verification
    place       the folder of a ledger: local disks only, one process at a time

Never imports `asking` or a route.
"""
