"""Generated files: CustomResourceDefinitions and tables of docs/, from the pydantic models.

    crd           the whole CustomResourceDefinition of a kind
    schema        a pydantic model as a structural schema
    reference     docs/reference.md
    relay_fields  the tables of docs/relay/configuration.md
    writing       writes files and tables, or finds a stale one (`--check`)
    __main__      the CustomResourceDefinitions, by `python -m`

Never imported by the running operator.
"""
