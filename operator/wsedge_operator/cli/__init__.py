"""Commands for people.

    explain   prints what the operator would do with manifests in files

Never imports the runtime.
"""
