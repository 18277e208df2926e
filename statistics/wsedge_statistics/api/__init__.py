"""The native REST API.

    reading   parameters in, documents out: /v1/traffic, /v1/bandwidth, /v1/codes, /v1/domains, /v1/options
    models    parameters and documents, as the OpenAPI document describes them

Never imports the ledger: `asking` reads it.
"""
