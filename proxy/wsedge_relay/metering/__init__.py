"""Usage, which is billed: counts per five-minute bucket, kept until the statistics acknowledge them.

    usage      integers per bucket and key, cumulative within the bucket. Pure
    meter      the bytes of one connection's requests, each counted once. Pure
    report     a usage report, the meaning of its answer, the time of a retry. Pure
    reporter   rolls buckets, writes the spool, sends reports
    spool      usage in files that outlive the process
    post       one HTTP/1.1 POST

Never imports a tunnel or a request: those count into a `Usage` or a `Meter`.
"""
