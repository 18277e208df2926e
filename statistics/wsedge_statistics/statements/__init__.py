"""Statements from the ledger, without HTTP: they are closed here, and read here.

    closing   closes each period once, when it is over and late counts had their time
    reading   statements of an account: the closed ones as stored, the open one computed
    values    all five-minute values of a statement, from which its figures can be recomputed
    usage     what the ledger has of a period, and adjustments of closed ones

The figures are those of `billing`, which is pure.
"""
