"""Commands for people.

    explain   says what the operator would do for manifests in files

Never imports the runtime.
"""
