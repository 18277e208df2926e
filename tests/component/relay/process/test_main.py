"""The program as a process: start, reload, drain, and exact counts over kills and outages."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from support.relay.running import outside
from support.relay_process import certificate, config, domain, encoded, publish, write
from support.relay_process.process import DEADLINE, PROGRAM, RelayProcess, eventually, request
from support.relay_process.statistics import Statistics
from support.relay_process.traffic import Client, echo_origin
from wsedge_relay.metering.spool import decode


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WSEDGE_")}
    return subprocess.run(
        [PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def to_origin(port: int, **fields: object) -> dict[str, object]:
    """Return a domain with its origin on this port and no time to drain."""
    origins = [{"host": "127.0.0.1", "httpPort": port}]
    return domain(origins=origins, **{"lifecycle": {"drainSeconds": 0}, **fields})


class TestStart:
    """The output for a person who starts the program."""

    def test_schema_is_printed_on_stdout(self) -> None:
        """Stdout has nothing else."""
        done = run("--schema")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["title"] == "RelayConfig"

    def test_a_missing_argument_is_named(self) -> None:
        """Exit code 2 and one line."""
        done = run()
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "wsedge-relay: --config (or WSEDGE_RELAY_CONFIG): is required\n"

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        """Exit code 2 and the system's reason."""
        done = run("--config", tmp_path / "relay.json")
        assert done.returncode == 2
        assert "cannot read" in done.stderr
        assert "relay.json: No such file or directory" in done.stderr

    def test_a_bad_configuration_names_file_field_and_rule(self, tmp_path: Path) -> None:
        """Exit code 2 and a line for each problem."""
        path = write(tmp_path / "relay.json", config(domain(heartbeatSeconds=0, colour="red")))
        done = run("--config", path)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            f"wsedge-relay: {path}: domains.0.heartbeatSeconds: input should be greater than or equal to 1"
            " (it is 0)",
            f"wsedge-relay: {path}: domains.0.colour: is not a field of RelayConfig",
        ]

    async def test_a_taken_port_is_told(self, tmp_path: Path) -> None:
        """Exit code 2, no traceback."""
        write(tmp_path / "one.json", config())
        async with RelayProcess("--config", tmp_path / "one.json") as first:
            listen = {"host": "127.0.0.1", "http": await first.port("http"), "admin": 0}
            write(tmp_path / "two.json", config(listen=listen))
            done = await asyncio.to_thread(run, "--config", tmp_path / "two.json")
            assert done.returncode == 2
            assert "wsedge-relay: cannot listen:" in done.stderr
            assert "Traceback" not in done.stderr

    async def test_a_spool_folder_in_use_is_told(self, tmp_path: Path) -> None:
        """Two relays cannot share a spool."""
        path = write(tmp_path / "relay.json", config())
        spool = tmp_path / "spool"
        async with RelayProcess("--config", path, "--spool-dir", spool) as first:
            await first.port("admin")
            done = await asyncio.to_thread(run, "--config", path, "--spool-dir", spool)
            assert done.returncode == 2
            assert f"spool folder {spool}: another relay process uses it" in done.stderr

    async def test_it_says_where_it_listens_and_with_what(self, tmp_path: Path) -> None:
        """The log has ports that the kernel chose and the settings, but no secrets."""
        token = tmp_path / "token"
        token.write_text("very-secret")
        path = write(tmp_path / "relay.json", config())
        async with RelayProcess("--config", path, "--token-file", token, "--host", "127.0.0.2") as relay:
            settings = await relay.event("starting")
            assert (settings["config"], settings["token_file"]) == (str(path), str(token))
            event = await relay.event("listening", listener="http", host="127.0.0.2")
            assert event["port"] > 0
            await relay.event("configuration applied", generation="team-a/chat@1", domains=1)
            relay.signal(signal.SIGTERM)
            assert await relay.ended() == 0
            assert "very-secret" not in str(relay.events)

    async def test_a_field_that_it_does_not_know_is_named(self, tmp_path: Path) -> None:
        """The relay starts without it, and the log names the field once."""
        path = write(tmp_path / "relay.json", config(domain(heartbeat=5)))
        async with RelayProcess("--config", path) as relay:
            told = await relay.event("unknown fields ignored", level="warning")
            assert told["fields"] == ["domains.0.heartbeat"]
            assert "--schema" in told["reason"]
            write(path, config(domain(heartbeatSeconds=5), generation="team-a/chat@2"))
            await relay.event("configuration applied", generation="team-a/chat@2")
            assert [event["event"] for event in relay.events].count("unknown fields ignored") == 1

    async def test_it_opens_as_many_files_as_it_may(self, tmp_path: Path) -> None:
        """The soft limit is raised to the hard one."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

        def low() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

        path = write(tmp_path / "relay.json", config())
        async with RelayProcess("--config", path, prepare=low) as relay:
            assert (await relay.event("starting"))["files"] == hard


class TestReload:
    """A configuration comes into force while connections stay open."""

    async def test_a_kubelets_swap_closes_no_connection(self, tmp_path: Path) -> None:
        """The generation changes and an open tunnel stays open."""
        async with echo_origin() as origin:
            volume = tmp_path / "volume"
            publish(volume, {"relay.json": encoded(config(to_origin(origin)))})
            async with RelayProcess("--config", volume / "relay.json") as relay:
                client = await Client().open(await relay.port("http"))
                changed = config(to_origin(origin, heartbeatSeconds=5), generation="team-a/chat@2")
                publish(volume, {"relay.json": encoded(changed)})
                await relay.event("configuration applied", generation="team-a/chat@2")
                await client.echo(b"still here")
                state = await relay.state()
                assert (state["generation"], state["openConnections"]) == ("team-a/chat@2", 1)
                client.close()

    async def test_a_bad_one_is_refused_and_the_last_good_one_serves(self, tmp_path: Path) -> None:
        """GET /config has both generations and the reason; a corrected file is applied."""
        async with echo_origin() as origin:
            path = write(tmp_path / "relay.json", config(to_origin(origin)))
            async with RelayProcess("--config", path) as relay:
                port = await relay.port("http")
                write(path, config(to_origin(origin, heartbeatSeconds=999), generation="team-a/chat@2"))
                event = await relay.event("configuration refused", generation="team-a/chat@2")
                assert "domains.0.heartbeatSeconds" in event["reason"]
                client = await Client().open(port)
                await client.echo(b"hello")
                client.close()
                state = await relay.state()
                assert (state["generation"], state["refusedGeneration"]) == ("team-a/chat@1", "team-a/chat@2")
                assert "less than or equal to 300" in state["refusedReason"]
                status, metrics = await relay.admin("/metrics")
                assert status == 200
                assert "\nwsedge_relay_config_refusals_total 1.0\n" in metrics
                write(path, config(to_origin(origin), generation="team-a/chat@3"))
                await relay.event("configuration applied", generation="team-a/chat@3")
                assert (await relay.state())["refusedReason"] is None

    async def test_sighup_looks_at_once(self, tmp_path: Path) -> None:
        """The relay also repeats the reason of a refusal."""
        path = write(tmp_path / "relay.json", config())
        async with RelayProcess("--config", path) as relay:
            await relay.port("admin")
            path.write_text("{")
            await relay.event("configuration refused")
            seen = len(relay.events)
            relay.signal(signal.SIGHUP)
            await relay.event("configuration refused", after=seen)

    async def test_a_certificate_arrives_after_its_generation(self, tmp_path: Path) -> None:
        """The relay names the missing file, and applies the generation once the file exists."""
        path = write(tmp_path / "relay.json", config())
        secrets = tmp_path / "secrets"
        async with RelayProcess("--config", path, "--secrets-dir", secrets) as relay:
            await relay.port("admin")
            files = {"certificateFile": "tls.crt", "keyFile": "tls.key"}
            write(path, config(domain(tls=files), generation="g2"))
            event = await relay.event("configuration refused", generation="g2")
            assert "domains.0.tls.certificateFile: cannot read" in event["reason"]
            pem, key = certificate()
            publish(secrets, {"tls.crt": pem, "tls.key": key})
            await relay.event("configuration applied", generation="g2")


class TestEnd:
    """SIGTERM: readiness falls, connections are closed in order, the last report is sent."""

    async def test_a_drain_closes_connections_and_reports_the_rest(self, tmp_path: Path) -> None:
        """Every byte, Close frames included, is in the ledger when the process has ended."""
        async with echo_origin() as origin, Statistics() as statistics:
            document = config(to_origin(origin), statistics={"url": statistics.url})
            path = write(tmp_path / "relay.json", document)
            async with RelayProcess("--config", path) as relay:
                client = await Client().open(await relay.port("http"))
                await client.echo(b"x" * 100)
                relay.signal(signal.SIGTERM)
                assert await client.answer_close() == b"\x88\x0c\x03\xe9going away"
                assert await relay.ended() == 0
                await relay.event("drain finished", open_connections=0)
                await relay.event("ended", all_usage_reported=True)
            assert statistics.total("sentBytes") == client.received
            assert statistics.total("receivedBytes") == client.sent
            assert statistics.codes() == {"101": 1}
            assert statistics.total("openedConnections") == 1

    async def test_readiness_falls_first_and_a_second_signal_hurries(self, tmp_path: Path) -> None:
        """During a drain the relay is alive and not ready; a second SIGTERM ends it at once."""
        async with echo_origin() as origin:
            slowly = {"drainSeconds": 3600}
            path = write(tmp_path / "relay.json", config(to_origin(origin, lifecycle=slowly)))
            async with RelayProcess("--config", path) as relay:
                port = await relay.port("http")
                clients = [await Client().open(port) for _ in range(2)]
                assert await relay.admin("/readyz") == (200, "ok\n")
                relay.signal(signal.SIGTERM)
                await relay.event("drain started", open_connections=2)
                assert await relay.admin("/readyz") == (503, "The relay is draining.\n")
                assert (await relay.admin("/healthz"))[0] == 200
                assert (await relay.state())["draining"] is True
                relay.signal(signal.SIGTERM)
                for client in clients:
                    await client.answer_close()
                assert await relay.ended() == 0

    async def test_a_drain_by_request_stays(self, tmp_path: Path) -> None:
        """After POST /drain the relay refuses new clients, closes connections and waits for its signal."""
        async with echo_origin() as origin:
            path = write(tmp_path / "relay.json", config(to_origin(origin)))
            async with RelayProcess("--config", path) as relay:
                client = await Client().open(await relay.port("http"))
                assert (await relay.admin("/drain?seconds=soon", method="POST"))[0] == 400
                assert await relay.admin("/drain?seconds=0", method="POST") == (
                    202,
                    "The relay is draining.\n",
                )
                await client.answer_close()
                await relay.event("drain finished", open_connections=0)
                assert await relay.admin("/readyz") == (503, "The relay is draining.\n")
                relay.signal(signal.SIGINT)
                assert await relay.ended() == 0

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one process", "several"])
    async def test_a_drain_that_nobody_ends_is_given_up(
        self, tmp_path: Path, workers: tuple[str, ...]
    ) -> None:
        """After the drain and drainStaySeconds the relay accepts connections, is ready, and logs it."""
        async with echo_origin() as origin:
            path = write(tmp_path / "relay.json", config(to_origin(origin)))
            async with RelayProcess("--config", path, "--drain-stay-seconds", "0.2", *workers) as relay:
                port = await relay.port("http")
                client = await Client().open(port)
                assert await relay.admin("/drain?seconds=0", method="POST") == (
                    202,
                    "The relay is draining.\n",
                )
                await client.answer_close()
                await relay.event("drain abandoned")
                async with asyncio.timeout(DEADLINE):
                    while await relay.admin("/readyz") != (200, "ok\n"):  # noqa: ASYNC110  as a probe
                        await asyncio.sleep(0.05)
                later = await Client().open(port)
                assert (await relay.state())["draining"] is False
                assert (await relay.metrics())["wsedge_relay_drains_abandoned_total"] == 1
                assert await relay.admin("/drain?seconds=0", method="POST") == (
                    202,
                    "The relay is draining.\n",
                )
                await later.answer_close()
                relay.signal(signal.SIGTERM)
                assert await relay.ended() == 0

    async def test_a_drain_needs_the_token_where_there_is_one(self, tmp_path: Path) -> None:
        """From loopback too; the token is read at each request, and the command sends it."""
        (tmp_path / "admin-token").write_text("secret-1\n")
        path = write(tmp_path / "relay.json", config(domain()))
        async with RelayProcess("--config", path) as relay:
            port = await relay.port("admin")

            async def drain(*lines: str) -> tuple[int, str]:
                head = "\r\n".join(["POST /drain?seconds=0 HTTP/1.1", "Host: relay", *lines, "", ""])
                return await request(port, head.encode())

            for lines in ([], ["Authorization: Bearer secret-2"], ["Authorization: Basic secret-1"]):
                status, text = await drain(*lines)
                assert (status, "admin token" in text, "secret-1" in text) == (401, True, False)
            twice = ["Authorization: Bearer secret-1"] * 2
            assert (await drain(*twice))[0] == 401
            (tmp_path / "admin-token").write_text("")
            assert (await drain("Authorization: Bearer "))[0] == 503
            (tmp_path / "admin-token").write_text("secret-3")
            assert (await drain("Authorization: Bearer secret-1"))[0] == 401
            assert await relay.admin("/readyz") == (200, "ok\n")
            assert await drain("authorization: bearer secret-3") == (202, "The relay is draining.\n")
            assert await relay.admin("/readyz") == (503, "The relay is draining.\n")
            told = json.dumps(relay.events)
            assert "secret-" not in told

    async def test_without_a_token_loopback_alone_may_drain(self, tmp_path: Path) -> None:
        """As with operators that create no token; a web page may not, from any address."""
        address = outside()
        listen = {"host": "0.0.0.0", "http": 0, "admin": 0, "adminHost": "0.0.0.0"}
        path = write(tmp_path / "relay.json", config(domain(), listen=listen))
        async with RelayProcess("--config", path) as relay:
            port = await relay.port("admin")
            ask = b"POST /drain?seconds=0 HTTP/1.1\r\nHost: relay\r\n"
            status, text = await request(port, ask + b"\r\n", host=address)
            assert (status, "admin-token" in text) == (403, True)
            assert (await request(port, ask + b"Origin: http://evil.example\r\n\r\n"))[0] == 403
            assert (await request(port, ask + b"X-Forwarded-For: 192.0.2.1\r\n\r\n"))[0] == 403
            assert await relay.admin("/readyz") == (200, "ok\n")
            assert (await request(port, ask + b"\r\n"))[0] == 202

    @pytest.mark.parametrize("workers", ["1", "2"])
    async def test_the_admin_port_is_on_loopback_unless_it_is_configured(
        self, tmp_path: Path, workers: str
    ) -> None:
        """Where clients come is no admin port, and the relay does not dial its own as an origin."""
        address = outside()
        listen = {"host": "0.0.0.0", "http": 0, "admin": 0}
        path = write(tmp_path / "relay.json", config(domain(), listen=listen))
        async with RelayProcess("--config", path, "--workers", workers) as relay:
            admin, http = await relay.port("admin"), await relay.port("http")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(address, admin)
            assert await relay.admin("/readyz") == (200, "ok\n")
            order = b"POST /drain HTTP/1.1\r\nHost: chat.example.com\r\nContent-Length: 0\r\n\r\n"
            assert (await request(http, order, host=address))[0] == 405
            own = [{"host": "127.0.0.1", "httpPort": admin}]
            write(path, config(domain(origins=own, passThrough={}), listen=listen, generation="second"))
            relay.signal(signal.SIGHUP)
            await relay.event("configuration applied", generation="second")
            status, text = await request(http, order, host=address)
            assert (status, "denied" in text) == (502, True)
            assert await relay.admin("/readyz") == (200, "ok\n")

    async def test_web_pages_do_not_reach_the_admin_port(self, tmp_path: Path) -> None:
        """Neither by a request to another site nor under a name that resolves to the port."""
        listen = {"host": "127.0.0.1", "http": 0, "admin": 0, "adminNames": ["relay-1.example.com"]}
        path = write(tmp_path / "relay.json", config(domain(), listen=listen))
        async with RelayProcess("--config", path) as relay:
            port = await relay.port("admin")

            async def answered(*lines: str) -> int:
                head = "\r\n".join(["GET /metrics HTTP/1.1", *lines, "", ""])
                return (await request(port, head.encode()))[0]

            assert await answered("Host: localhost", "Origin: https://evil.example") == 403
            assert await answered("Host: localhost", "Sec-Fetch-Site: cross-site") == 403
            assert await answered(f"Host: evil.example:{port}") == 421
            assert await answered(f"Host: relay-1.example.com:{port}") == 200
            assert await answered(f"Host: 127.0.0.1:{port}") == 200
            assert await answered() == 200

    @pytest.mark.parametrize("is_configured", [True, False], ids=["in the file", "as an argument"])
    async def test_the_command_has_the_relay_beside_it_drain(
        self, tmp_path: Path, is_configured: bool
    ) -> None:
        """The command reads the token and the relay's settings from its environment."""
        (tmp_path / "admin-token").write_text("secret-1\n")
        own = os.getpid()  # an address that no other test has, for the port must be known beforehand
        host = f"127.{86 + is_configured}.{own >> 8 & 255}.{own & 255}"
        listen = {"host": "127.0.0.1", "http": 0, "admin": 9090}
        if is_configured:
            listen["adminHost"] = host
        path = write(tmp_path / "relay.json", config(domain(), listen=listen))
        where = ("--config", str(path), *(() if is_configured else ("--admin-host", host)))
        async with RelayProcess(*where) as relay:
            await relay.port("admin")
            for seconds, code, said in (("0", 0, "draining"), ("-1", 1, "a number from 0")):
                command = await asyncio.create_subprocess_exec(
                    *(PROGRAM, "drain", *where, f"--seconds={seconds}"),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                )
                output, _ = await command.communicate()
                assert (command.returncode, said in output.decode()) == (code, True), output
            ready = await request(9090, b"GET /readyz HTTP/1.1\r\n\r\n", host=host)
            assert ready == (503, "The relay is draining.\n")

    async def test_a_signal_hurries_a_drain_by_request(self, tmp_path: Path) -> None:
        """After SIGTERM connections have at most drainSeconds: the kubelet then kills the pod."""
        async with echo_origin() as origin:
            path = write(tmp_path / "relay.json", config(to_origin(origin)))
            async with RelayProcess("--config", path) as relay:
                port = await relay.port("http")
                clients = [await Client().open(port) for _ in range(3)]
                assert await relay.admin("/drain?seconds=3600", method="POST") == (
                    202,
                    "The relay is draining.\n",
                )
                await relay.event("drain started", open_connections=3)
                relay.signal(signal.SIGTERM)
                for client in clients:
                    await client.answer_close()
                assert await relay.ended() == 0

    async def test_a_second_signal_hurries_domains_that_are_gone(self, tmp_path: Path) -> None:
        """A removed domain that still drains is closed at once with the others."""
        async with echo_origin() as origin:
            slowly = {"drainSeconds": 3600}
            path = write(tmp_path / "relay.json", config(to_origin(origin, lifecycle=slowly)))
            async with RelayProcess("--config", path) as relay:
                port = await relay.port("http")
                clients = [await Client().open(port) for _ in range(3)]
                write(path, config(generation="team-a/chat@2"))
                await relay.event("configuration applied", generation="team-a/chat@2")
                relay.signal(signal.SIGTERM)
                await relay.event("drain started")
                relay.signal(signal.SIGTERM)
                for client in clients:
                    await client.answer_close()
                assert await relay.ended() == 0


class TestUsage:
    """Counts survive failures of the relay and its environment."""

    async def test_a_killed_relay_loses_nothing_that_was_swept(self, tmp_path: Path) -> None:
        """Killed during an outage of the statistics; the next run reports everything, to the byte."""
        async with echo_origin() as origin, Statistics() as statistics:
            spool = tmp_path / "spool"
            document = config(to_origin(origin), statistics={"url": statistics.url})
            arguments = ("--config", write(tmp_path / "relay.json", document), "--spool-dir", spool)
            fast = ("--report-seconds", "0.2")
            clients = []
            statistics.answers[0] = 503
            for _ in range(2):  # two lives, both killed
                async with RelayProcess(*arguments, *fast) as relay:
                    client = await Client().open(await relay.port("http"))
                    clients.append(client)
                    for size in range(20):
                        await client.echo(b"x" * size)
                    await spooled(spool, clients)
                    relay.signal(signal.SIGKILL)
                    assert await relay.ended() == -signal.SIGKILL
                    client.close()
            statistics.answers[0] = 204
            async with RelayProcess(*arguments, *fast) as relay:
                total = sum(client.received for client in clients)
                await statistics.until(lambda: statistics.total("sentBytes") == total)
                relay.signal(signal.SIGTERM)
                assert await relay.ended() == 0
            assert statistics.total("receivedBytes") == sum(client.sent for client in clients)
            assert statistics.total("sentMessages") == sum(client.messages for client in clients)
            assert statistics.codes() == {"101": 2}
            assert [file.name for file in files_of(spool)] == ["lock"]

    async def test_a_relay_killed_at_work_loses_a_sweep_at_most(self, tmp_path: Path) -> None:
        """Bytes of four seconds before the kill are in the ledger; the bound is one sweep (1 s)."""
        async with echo_origin() as origin, Statistics() as statistics:
            document = config(to_origin(origin), statistics={"url": statistics.url})
            arguments = ("--config", write(tmp_path / "relay.json", document), "--spool-dir", tmp_path / "s")
            clock = asyncio.get_running_loop().time
            async with RelayProcess(*arguments, "--report-seconds", "300") as relay:
                client = await Client().open(await relay.port("http"))
                passed = []
                began = clock()
                while clock() < began + 5.5:
                    await client.echo(b"x" * 125)
                    passed.append((clock(), client.received))
                    await asyncio.sleep(0.01)
                relay.signal(signal.SIGKILL)
                killed = clock()
                await relay.ended()
                client.close()
            certain = max(received for at, received in passed if at < killed - 4.0)
            async with RelayProcess(*arguments, "--report-seconds", "0.2"):
                await statistics.until(lambda: certain <= statistics.total("sentBytes") <= client.received)

    async def test_a_full_disk_stops_nothing(self, tmp_path: Path) -> None:
        """No byte can be spooled: this is logged and counted, and traffic and reports continue."""

        def no_room() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))

        async with echo_origin() as origin, Statistics() as statistics:
            document = config(to_origin(origin), statistics={"url": statistics.url})
            arguments = ("--config", write(tmp_path / "relay.json", document), "--spool-dir", tmp_path / "s")
            async with RelayProcess(*arguments, prepare=no_room) as relay:
                client = await Client().open(await relay.port("http"))
                await client.echo(b"hello")
                event = await relay.event("spool failed")
                assert "File too large" in event["reason"]
                await client.echo(b"hello again")
                relay.signal(signal.SIGTERM)
                await client.answer_close()
                assert await relay.ended() == 0
            assert statistics.total("sentBytes") == client.received

    async def test_a_damaged_spool_is_set_aside(self, tmp_path: Path) -> None:
        """A damaged file does not stop the start, and is renamed, not deleted."""
        spool = tmp_path / "s"
        spool.mkdir()
        (spool / "1-aaaaaaaa.journal").write_bytes(b"\x00" * 100 + b"\n")
        async with Statistics() as statistics:
            document = config(statistics={"url": statistics.url})
            path = write(tmp_path / "relay.json", document)
            async with RelayProcess("--config", path, "--spool-dir", spool) as relay:
                await relay.event("spool file damaged", rows_saved=0)
                assert (await relay.admin("/readyz"))[0] == 200
        assert (spool / "1-aaaaaaaa.corrupt").stat().st_size == 101

    async def test_metrics_are_the_usage(self, tmp_path: Path) -> None:
        """A scrape has the same integers as the usage, to the byte, at once."""
        async with echo_origin() as origin:
            path = write(tmp_path / "relay.json", config(to_origin(origin)))
            async with RelayProcess("--config", path) as relay:
                client = await Client().open(await relay.port("http"))
                await client.echo(b"hello")
                status, text = await relay.admin("/metrics")
                assert status == 200
                label = '{domain="chat.example.com"}'
                for line in (
                    f"wsedge_relay_sent_bytes_total{label} {float(client.received)}",
                    f"wsedge_relay_received_bytes_total{label} {float(client.sent)}",
                    f"wsedge_relay_open_connections{label} 1.0",
                    f"wsedge_relay_opened_connections_total{label} 1.0",
                    'wsedge_relay_handshakes_total{code="101",domain="chat.example.com"} 1.0',
                    'wsedge_relay_config_info{generation="team-a/chat@1"} 1.0',
                    "wsedge_relay_ready 1.0",
                ):
                    assert line in text.splitlines()
                client.close()


async def spooled(spool: Path, clients: list[Client]) -> None:
    """Wait until the journals have exactly the bytes that these clients received, one relay epoch each."""

    def is_spooled() -> bool:
        rows = [decode(file.read_bytes())[2] for file in files_of(spool) if file.suffix == ".journal"]
        sent = [sum(row.sent_bytes for row in journal) for journal in rows]
        return sorted(sent) == sorted(client.received for client in clients)

    await eventually(is_spooled)


def files_of(folder: Path) -> list[Path]:
    """Return the files in a folder."""
    return sorted(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_relay_without_connections_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0 on either signal."""
    path = write(tmp_path / "relay.json", config(domain(lifecycle={"drainSeconds": 3600})))
    async with RelayProcess("--config", path) as relay:
        await relay.event("configuration applied")
        relay.signal(number)
        assert await relay.ended() == 0
