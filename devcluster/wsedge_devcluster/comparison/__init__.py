"""Whether the statistics have every byte that clients counted on their sockets.

    counts      clients' counts, an answer of the statistics, their comparison. Pure
    statistics  a client of the statistics' API

The quickstart asserts this with `--once`, and tests of faults assert it of their own clients: both import the
one definition of "equal". No module here imports the cluster or the quickstart.
"""
