"""Usage from relays and the Directory from the operator.

    routes   the two endpoints; 204 means: on disk

Never imports a question.
"""
