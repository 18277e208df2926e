"""Statements: what an account is billed for a day or a month. Pure.

    statement     lines of a period, from five-minute values, terms and rules
    adjustments   what late counts change about closed statements
    document      a statement as JSON, for storage and for answers
    periods       natural days and months in the zone in force then, and the terms within them
    methods       the seven metering methods
    prices        the optional price book: tiers and amounts
    rules         units, direction, overhead, idle days; exact numbers rounded once

Amounts are fractions until they are rounded, half up, at the line. Never imports a ledger or a clock.
"""
