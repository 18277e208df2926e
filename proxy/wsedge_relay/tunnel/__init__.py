"""Open tunnels, from the 101 to the last FIN.

    tunnels     the life of all open tunnels of a process, on top of the pump
    tunnel      one tunnel: two legs, and what is known of them together
    heartbeat   which leg has been silent, and when to look again. Pure
    drain       closes spread over time. Pure

Never imports a client's request or the server.
"""
