"""A running control plane, as a program or a test uses it.

    chart        installs the chart of this checkout
    cluster      starts one, asks it by kubectl and Helm, ends it
    supervisor   the process that starts everything and ends it
    spec         what a supervisor is given

Never imports the quickstart.
"""
