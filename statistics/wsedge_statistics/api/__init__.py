"""The native REST API.

    reading         the routes /v1/traffic, /v1/bandwidth, /v1/codes, /v1/domains, /v1/options
    parameters      what may be asked, as the OpenAPI document describes it
    documents       results of `asking` as documents
    models          the documents, as the OpenAPI document describes them
    tables          documents as CSV
    statements      /v1/statements: JSON, CSV, and a page
    statement_page  a statement as a page to print

Never imports the ledger: `asking` and `statements` read it.
"""
