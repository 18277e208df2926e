"""One process, or a supervisor with several worker processes.

    single           a relay of one process
    supervisor       starts worker processes, follows the configuration, serves the admin port
    worker           the main module of a worker process
    worker_process   the supervisor's handle of a worker process
    relay_process    data path, metering and drain of one process, alone or as a worker
    orders           orders and answers between supervisor and worker
    assignment       the settings and the configuration that the supervisor sends to a worker
    shared_limits    limits of the pod, in memory that its worker processes share
    drain_command    the command `wsedge-relay drain`

Only `main` imports this package.
"""
