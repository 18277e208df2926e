"""When terms take effect, and the record of an account. Pure.

    activation   settles the plans of an account at an instant
    calendar     natural days and months of a time zone
    record       the history of an account as JSON in a ConfigMap

Never imports a client, a clock or a decision.
"""
