"""Valid and invalid manifests of both kinds, each under a sentence that states its rule.

The same tables are applied to the API server (tests/cluster) and to the models (tests/unit), so that CEL and
Python cannot differ in a rule.

    manifest         the smallest valid plan and domain, changes of them, the form of a refusal
    billing_plans    plans
    domains          valid domains, and all invalid ones
    invalid_domain   refused: name, domain, the switch and its protocol
    invalid_origins  refused: origins, requests to them, their TLS and health checks
    invalid_clients  refused: TLS towards clients, proxies, allowed origins, paths, plain requests
    invalid_exposure refused: entrances
    invalid_relays   refused: limits, lifecycle, relays, the access log
    invalid_pods     refused: settings of relay pods
"""
