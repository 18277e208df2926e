"""What the origins of the use cases share. Needs websockets alone.

origin      serves one page, a health check and WebSockets until SIGTERM
history     events with ids, which a client resumes by
checks      limits for what clients send
look.css, connection.js   are put into each page when it is served
"""
