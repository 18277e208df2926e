"""One process, or a supervisor with several worker processes.

    single           a relay of one process
    supervisor       starts workers, follows the configuration, serves the admin port
    worker           the program of one worker process
    worker_process   a worker as its supervisor sees it
    relay_process    data path, metering and drain of one process
    orders           orders and answers between supervisor and worker
    assignment       what a worker is given when it starts and when the configuration changes
    shared_limits    limits of the pod in memory that its workers share
    ask_drain        the command `wsedge-relay drain`

Imported by `main` alone.
"""
