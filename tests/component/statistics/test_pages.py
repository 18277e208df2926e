"""The commands on the pages about the statistics, run against the real program; and the names in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.statistics.build import recent_bucket, report, row
from support.statistics.desk import directory_of, terms
from support.statistics.fixtures import Cluster
from support.statistics.process import Statistics, statistics
from wsedge_statistics.billing.prices import read_book
from wsedge_statistics.billing.rules import Rules
from wsedge_statistics.dcdn.operations import OPERATIONS
from wsedge_statistics.settings import Settings

ROOT = Path(__file__).parents[3]
NAMES = ("statistics", "billing", "dcdn", "clickhouse")
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in NAMES}
CURL = [
    pytest.param(line.strip(), id=f"{name}: {line.strip()[-60:]}")
    for name, page in PAGES.items()
    for line in page.splitlines()
    if line.startswith("    curl ")
]
# The pages' shell, with the token of an account or a user, and an answer that is an error as a failure.
SHELL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'
# Options of the commands backup, restore, verify and migrate, which are no settings.
OF_COMMANDS = {"--to", "--from"}
OF_BENCHES = {"--days", "--domains", "--hours"}
OF_OTHER_PROGRAMS = {"--namespace", "--audience", "--from-literal", "--set", "--reuse-values"} | OF_BENCHES


@pytest.mark.parametrize("line", CURL)
def test_every_question_on_the_pages_is_answered(cluster: Cluster, tmp_path: Path, line: str) -> None:
    """With the account's token, counts of the domain that the pages name, and terms since last year."""
    began = recent_bucket(0) - timedelta(days=300)
    message = directory_of(recent_bucket(0).isoformat(), team_a=[terms(start=began.isoformat())])
    operator = cluster.signer.token("wsedge-operator", "wsedge-system")
    document = message.model_dump(mode="json") | {"domains": []}
    domain = {"domain": "chat.example.com", "account": "team-a", "name": "chat"}
    document["domains"] = [domain | {"enabled": True, "heartbeatSeconds": 60}]
    assert cluster.program.put_directory(document, token=operator).status == 204
    counts = report(row(recent_bucket(2), sentBytes=1200))
    assert cluster.program.post(counts, token=cluster.signer.relay_token()).status == 204
    here = re.sub(r"2026-11\b", f"{recent_bucket(2):%Y-%m}", line)
    here = here.replace("127.0.0.1:8080", f"127.0.0.1:{cluster.program.port}")
    environment = {
        "PATH": os.environ["PATH"],
        "TOKEN": cluster.signer.token("default", "team-a"),
        "USER_TOKEN": cluster.signer.token("admin", "ops"),
    }
    ran = subprocess.run(
        ["bash", "-c", SHELL + here],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    written = tmp_path / "statement.html"
    if "> statement.html" in line:
        assert written.read_text().startswith("<!DOCTYPE html>")
    else:
        assert json.loads(ran.stdout)["account"] == "team-a"


def test_the_commands_for_backups_on_the_page_run(tmp_path: Path) -> None:
    """Backup beside the program, restore and verify after it, as on the page with a folder and a file."""
    lines = re.findall(
        r"^    (wsedge-statistics (?:backup|restore|verify) .*)$", PAGES["statistics"], re.MULTILINE
    )
    assert [line.split()[1] for line in lines] == ["backup", "restore", "verify"]
    folder, file = tmp_path / "data", tmp_path / "copy.sqlite3"

    def run(line: str) -> None:
        command = line.replace("FOLDER", str(folder)).replace("FILE", str(file))
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-c", command], env=environment, check=True, capture_output=True, timeout=60)

    with statistics(folder) as program:
        assert program.post(report(row(recent_bucket(), sentBytes=7))).status == 204
        run(lines[0])
        assert program.stop() == 0
    run(lines[1])
    run(lines[2])
    with statistics(folder) as program:
        assert program.get("/v1/traffic").json["total"]["sentBytes"] == 7


def test_the_paths_on_the_pages_are_those_of_the_description(laptop: Statistics) -> None:
    """Every path of a table exists, and every path that accounts read is in a table."""
    described = {path for path in laptop.get("/openapi.json").json["paths"] if path.startswith("/v1/")}
    tables = PAGES["statistics"] + PAGES["billing"]
    named = {
        re.sub(r"/\d{4}-\d\d$", "/{period}", path)
        for path in re.findall(r"^\| `(/v1/\S+)`", tables, re.MULTILINE)
    }
    assert named <= described
    assert described - named <= {"/v1/usage", "/v1/directory"}


def options_in(page: str) -> set[str]:
    """Return the options of wsedge-statistics that a page names in running text or in a command of it."""
    inline = {each for text in re.findall(r"`(--[^`]+)`", page) for each in re.findall(r"--[a-z-]+", text)}
    commands = re.findall(r"^    wsedge-statistics (?:.*\\\n)*.*$", page, re.MULTILINE)
    return inline | {each for text in commands for each in re.findall(r"--[a-z][a-z-]+", text)}


@pytest.mark.parametrize("name", NAMES)
def test_the_options_on_the_page_exist(name: str) -> None:
    """Each is a setting of the program, or an option of one of its commands."""
    known = {f"--{each.replace('_', '-')}" for each in Settings.model_fields} | OF_COMMANDS
    assert options_in(PAGES[name]) - OF_OTHER_PROGRAMS - known - {"--openapi"} == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_chart_values_on_the_page_exist(name: str) -> None:
    """Those in running text and those that `helm --set` has."""
    values = yaml.safe_load((ROOT / "charts" / "wsedge" / "values.yaml").read_text())
    text = "|".join(values)
    named = set(re.findall(rf"`((?:{text})(?:\.\w+)+)`", PAGES[name]))
    named |= set(re.findall(r"--set ([\w.]+)=", PAGES[name]))
    named.discard("statistics.wsedge.io")  # the resource whose right the page names
    assert [each for each in sorted(named) if not has(values, each)] == []


def has(values: Any, path: str) -> bool:
    for part in path.split("."):
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def test_the_price_book_on_the_page_is_one() -> None:
    """As the chart writes it, with the tiers that the text reckons with."""
    text = PAGES["billing"].split("\n## Prices\n")[1].split("\nAn entry")[0]
    book = read_book(json.dumps(yaml.safe_load(text)["statistics"]["billing"]["priceBook"]).encode())
    assert book.currency == "CNY"
    assert [each.method for each in book.prices] == ["Traffic", "Month95Bandwidth"]


def test_the_billing_settings_on_the_page_are_those_there_are() -> None:
    """The names of the rules, as the chart and the lines of a statement have them."""
    sentence = (
        PAGES["billing"].split("- **Settings** (chart: `statistics.billing`):")[1].split("Each line")[0]
    )
    named = set(re.findall(r"`(\w+)`", sentence)) - {"sent", "both"}
    values = yaml.safe_load((ROOT / "charts" / "wsedge" / "values.yaml").read_text())
    others = {"priceBook", "countIdleDays"}  # told on the same page, in other places
    assert named | others == set(values["statistics"]["billing"])
    assert Rules().gb_base == values["statistics"]["billing"]["gbBase"]


def test_the_operations_on_the_page_are_those_there_are() -> None:
    """The table of the RPC."""
    table = PAGES["dcdn"].split("\n## Operations\n")[1]
    assert re.findall(r"^\| `(Describe\w+)` \|", table, re.MULTILINE) == list(OPERATIONS)


def test_the_error_codes_on_the_page_are_in_the_program() -> None:
    """Each code of the table is one that the program answers."""
    table = PAGES["dcdn"].split("\n## Errors\n")[1]
    program = ROOT / "statistics" / "wsedge_statistics" / "dcdn"
    source = "".join(file.read_text() for file in sorted(program.glob("*.py")))
    cells = re.findall(r"^\| (\d.*?) \|", table, re.MULTILINE)
    codes = [code for cell in cells for code in re.findall(r"`([A-Z][\w.]+)`", cell)]
    assert len(codes) > 10
    parts = {code: code.partition(".") for code in codes}
    built = {  # made of a parameter's name
        code
        for code, (name, _, kind) in parts.items()
        if f'"{code}"' not in source
        and kind in ("Malformed", "Mismatch", "ValueNotSupported")
        and f'"{name.removeprefix("Invalid")}"' in source
        and kind in source
    }
    assert [code for code in codes if code not in built and f'"{code}"' not in source] == []


def test_the_kinds_of_problems_on_the_page_are_in_the_program() -> None:
    """Statuses of the table are those that the program answers."""
    table = PAGES["statistics"].split("\n## Errors\n")[1].split("\n## ")[0]
    source = "".join(
        file.read_text() for file in sorted((ROOT / "statistics" / "wsedge_statistics" / "web").glob("*.py"))
    )
    kinds = re.findall(r"^\| [\d, ]*`([\w-]+)`", table, re.MULTILINE)
    assert kinds
    assert [kind for kind in kinds if f'"{kind}"' not in source] == []
