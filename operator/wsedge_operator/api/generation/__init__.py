"""Generated files: CustomResourceDefinitions and tables of docs/, from the pydantic models.

    crd           the whole CustomResourceDefinition of a kind
    schema        a pydantic model as a structural schema
    reference     docs/reference.md
    relay_fields  the tables of docs/relay/configuration.md
    __main__      writes them, or finds a stale one (`--check`)

Never imported by the running operator.
"""
