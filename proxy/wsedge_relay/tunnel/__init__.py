"""Open tunnels, from the 101 to the last FIN.

    tunnels     all open tunnels of a process: opens, counts and closes them, on top of the pump
    tunnel      one tunnel: two legs, and the state that they share
    heartbeat   the checks of silent legs, and the times of these checks. Pure
    stalls      legs that accept no bytes, and since when. Pure
    access_lines  lines of the access log
    drain       closes that are spread over time
    shedding    orders to close some tunnels at a rate
    listing     the open tunnels, in pages

Never imports the packages `client` and `server`.
"""
