"""What to do for an account. Pure.

    decide     settles the plans, keeps the record, writes each plan's status
    standing   whether terms are in force, as the account's domains need it

Never imports a client, a clock or `reconcile.domain`.
"""
