"""The RPC of Alibaba Cloud's DCDN, for the operations that concern WebSocket.

A program that was written for DCDN asks here, with its endpoint setting alone changed.

    rpc          one HTTP request: verify, throttle, dispatch, render
    incoming     a request as it arrived: method, headers, parameters
    signatures   the wire forms of a signed request
    replays      nonces that were used, and calls per second
    operations   the eight operations, answered by `asking` and the Directory
    intervals    lengths of slots that a span offers
    names        regions and ISPs with their Chinese names
    rendering    answers as JSON or XML
    faults       codes and texts of errors

Never imports `api` or `ingest`.
"""
