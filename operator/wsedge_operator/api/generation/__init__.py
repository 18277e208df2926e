"""Generated files: CustomResourceDefinitions and the reference page, from the pydantic models.

    crd         the whole CustomResourceDefinition of a kind
    schema      a pydantic model as a structural schema
    reference   docs/reference.md
    __main__    writes them, or finds a stale one (`--check`)

Never imported by the running operator.
"""
