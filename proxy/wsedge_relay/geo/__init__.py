"""Where a client is and whose network it uses.

    labels      region, ISP and area as labels of the statistics. Pure
    databases   database files: loaded whole, replaced while the relay runs
    xdb         a reader of ip2region's xdb files. Pure

Never imports a tunnel, a request or a domain.
"""
