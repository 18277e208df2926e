"""Open tunnels, from the 101 to the last FIN.

    tunnels     the life of all open tunnels of a process, on top of the pump
    tunnel      one tunnel: two legs, and the state that they share
    heartbeat   which leg is silent, and the time of its next check. Pure
    drain       closes spread over time. Pure

Never imports a client's request or the server.
"""
