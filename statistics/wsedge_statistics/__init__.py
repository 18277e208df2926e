"""The statistics: keeps the relays' counts in a ledger and answers questions about them."""
