"""The place and the network of a client, by its address.

    labels      region, ISP and area as labels of the statistics. Pure
    databases   database files: loaded whole, reloaded while the relay runs
    xdb         a reader of ip2region's xdb files. Pure

Never imports a tunnel, a request or a domain.
"""
