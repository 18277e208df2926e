"""When the terms of a plan take effect, and the record of it. Pure.

    activation   settles the plans of an account at an instant
    calendar     natural days and months of a time zone
    record       the history of an account as text

Never imports an object of Kubernetes but the models of `api`.
"""
