"""Eclipse Paho as MQTT client over WebSocket: QoS 0, 1 and 2, a retained message, and a ping.

    python paho_client.py       reads URLs, one a line; answers each with the transcript

Environment: TLS_AUTHORITY.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import zlib
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt

SECONDS = 30

# Every name is this machine's.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)


def described(payload: bytes) -> list[Any]:
    return [len(payload), zlib.crc32(payload)]


def publish(url: str) -> dict[str, Any]:
    """Subscribe, publish with each QoS, wait for the answer to a ping, and disconnect."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    arrived: Queue[Any] = Queue()
    events: Queue[Any] = Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho", transport="websockets")
    client.ws_set_options(path="/mqtt")
    if parts.scheme == "wss":
        client.tls_set(os.environ["TLS_AUTHORITY"])
    client.on_connect = lambda *facts: events.put(("connect", str(facts[3])))
    client.on_subscribe = lambda *facts: events.put(("subscribe", [str(one) for one in facts[3]]))
    client.on_disconnect = lambda *facts: events.put(("disconnect", str(facts[3])))
    client.on_log = lambda _client, _data, _level, text: "PINGRESP" in text and events.put(("pong",))
    client.on_message = lambda _client, _data, one: arrived.put(
        [one.topic, described(one.payload), one.qos, one.retain]
    )
    client.connect(parts.hostname, parts.port, keepalive=1)
    client.loop_start()
    try:
        seen = [events.get(timeout=SECONDS)]
        client.subscribe("room/#", qos=2)
        seen.append(next_but_pong(events))
        for qos in (0, 1, 2):
            client.publish(f"room/{qos}", f"hello {qos}", qos=qos).wait_for_publish(SECONDS)
        client.publish("room/large", b"large " * 20_000, qos=2).wait_for_publish(SECONDS)
        messages = sorted(arrived.get(timeout=SECONDS) for _ in range(4))
        while events.get(timeout=SECONDS) != ("pong",):
            pass
        client.disconnect()
        seen.append(next_but_pong(events))
    finally:
        client.loop_stop()
    return {"events": seen, "messages": messages}


def next_but_pong(events: Queue[Any]) -> Any:
    while (event := events.get(timeout=SECONDS)) == ("pong",):
        pass
    return event


for line in sys.stdin:
    print(json.dumps(publish(line.strip())), flush=True)
