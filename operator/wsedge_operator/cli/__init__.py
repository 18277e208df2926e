"""Commands for people.

    explain       prints what the operator would do with manifests in files
    plugin        `kubectl wsedge`, a plugin of kubectl; its verbs are in
                  status, connections (and close), drain, logs, statement, report, access_keys
    program       what starts both
    observation   what is known of domains, by few lists and many questions at a time (concurrency)
    arguments     the plugin's command line; exit_codes; completion
    json_text     parses JSON of a cluster. Pure
    redaction     masks secrets in what a report collects. Pure
    diagnosis     what is wrong with a domain, and what to do. Pure, as are
    metrics       the relays' metrics, rights (what each verb needs), rendering (tables, JSON, YAML)
    objects       reads of domains, and of the pods that are their relays
    relays        calls on the admin port of relays, through
    gateway       HTTP to the API server, by `kubectl proxy`
    kubectl       calls of kubectl, with the user's own rights

Never imports the runtime.
"""
