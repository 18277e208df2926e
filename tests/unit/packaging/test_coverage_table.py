"""The table of what tests have run: what it joins, what it calls pure, what fails it."""

from __future__ import annotations

from coverage_table import Counts, Module, faults, line_ranges, modules_of, pure_packages, table

PURE = ("wsedge_relay.policy", "wsedge_relay.metering.usage")


def module(name: str, every: int, run: int, *missing: int) -> Module:
    """A module with these counts."""
    return Module(name, Counts(every, run), missing)


def test_report_of_coverage() -> None:
    """Lines and branches count alike; a line that runs but leaves in one direction only is missing, too."""
    summary = {"num_statements": 10, "covered_lines": 9, "num_branches": 4, "covered_branches": 3}
    entry = {"summary": summary, "missing_lines": [7], "missing_branches": [[4, 7], [5, -1]]}
    report = {"files": {"proxy/wsedge_relay/policy/__init__.py": entry}}
    assert modules_of(report) == [module("wsedge_relay.policy", 14, 12, 4, 5, 7)]


def test_pure_packages_are_those_of_the_import_contracts() -> None:
    """The contracts whose name ends in -pure say which modules are pure; other contracts do not."""
    contracts = """
[importlinter:contract:relay-pure]
source_modules =
    wsedge_relay.policy
    wsedge_relay.metering.usage
[importlinter:contract:relay-layers]
source_modules =
    wsedge_relay.main
"""
    assert pure_packages(contracts) == PURE


def test_table_joins_packages_and_rounds_down() -> None:
    """Packages are joined, modules beside them count as the program's own, and 99.99 % does not read 100."""
    modules = [
        module("wsedge_relay.policy.limits", 10000, 9999),
        module("wsedge_relay.metering.usage", 50, 50),
        module("wsedge_relay.metering.spool", 50, 25),
        module("wsedge_relay.main", 0, 0),
    ]
    assert [line.split() for line in table(modules, PURE)[1:]] == [
        ["wsedge_relay", "0", "100", "%", "-"],
        ["wsedge_relay.metering", "100", "75", "%", "100", "%"],
        ["wsedge_relay.policy", "10000", "99.9", "%", "99.9", "%"],
        ["all", "10100", "99.7", "%", "99.9", "%"],
    ]


def test_pure_module_that_is_not_whole() -> None:
    """A line of a pure module that no test runs is named, whatever the whole; a like name is not within."""
    modules = [
        module("wsedge_relay.policy.limits", 1000, 997, 4, 5, 9),
        module("wsedge_relay.policy_of_others", 10, 9, 3),
    ]
    assert faults(modules, PURE) == [
        "wsedge_relay.policy.limits is pure, and no test runs these of its lines: 4-5, 9"
    ]


def test_whole_below_its_bound() -> None:
    """Less than nine tenths of everything fails, and just as much passes."""
    assert faults([module("wsedge_relay.server.relay", 10, 9)], PURE) == []
    (fault,) = faults([module("wsedge_relay.server.relay", 1000, 899)], PURE)
    assert fault == "The tests run 89.9 % of the whole; 90 % are asked for"


def test_line_ranges() -> None:
    """Lines that follow each other are one range."""
    assert line_ranges([3, 5, 6, 7, 9]) == "3, 5-7, 9"
    assert line_ranges([]) == ""
