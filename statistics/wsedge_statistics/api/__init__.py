"""The native REST API.

    reading         /v1/traffic, /v1/bandwidth, /v1/codes, /v1/domains, /v1/options
    models          parameters and documents of these, as the OpenAPI document describes them
    statements      /v1/statements: JSON, CSV, and a page
    statement_page  a statement as a page to print

Never imports the ledger: `asking` and `statements` read it.
"""
