"""The relay: carries WebSocket bytes between clients and origins, and counts them."""
