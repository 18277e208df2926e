"""One process, or a supervisor with several worker processes.

    single           a relay of one process
    supervisor       starts workers, follows the configuration, serves the admin port
    worker           the main module of a worker process
    worker_process   the supervisor's handle of a worker process
    relay_process    data path, metering and drain of one process
    orders           orders and answers between supervisor and worker
    assignment       the settings and the configuration that a worker gets from its supervisor
    shared_limits    limits of the pod, in memory that its workers share
    drain_command        the command `wsedge-relay drain`

Imported by `main` alone.
"""
