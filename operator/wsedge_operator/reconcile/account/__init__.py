"""The decision about an account. Pure.

    decide     settles the plans, writes the record and the status of each plan
    state      whether terms are in force, for the account's domains

Never imports a client, a clock or `reconcile.domain`.
"""
