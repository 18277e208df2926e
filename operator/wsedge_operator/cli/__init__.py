"""Commands for people.

    explain       prints what the operator would do with manifests in files
    plugin        `kubectl wsedge`, a plugin of kubectl
    access_keys   its verb `accesskey`
    kubectl       calls kubectl, with the user's own rights

Never imports the runtime.
"""
