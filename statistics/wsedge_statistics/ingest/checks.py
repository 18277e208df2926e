"""Checks of a usage report: its source, its accounts and domains, its times. Pure.

A relay's token is bound to its pod, so a report is accepted only from the pod that it names, and only rows of
domains that the token's account holds, or held when the counts were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from wsedge_statistics.contract import UsageReport
from wsedge_statistics.errors import DirectoryAwaitedError, ForbiddenError, RowFault, RowsRefusedError
from wsedge_statistics.identity.callers import Caller
from wsedge_statistics.tenure import Tenures

FUTURE_TOLERANCE: Final = timedelta(minutes=10)


def check_source(caller: Caller, report: UsageReport) -> None:
    """Refuse a report of another source than the pod of the token. Raises ForbiddenError."""
    if caller.trusted:
        return
    if caller.pod_uid is None:
        raise ForbiddenError("The token is not bound to a pod. A relay must report with its projected token.")
    if caller.pod_uid != report.source.uid:
        raise ForbiddenError("The report's source.uid is not the uid of the pod that the token is bound to.")
    if report.source.pod.partition("/")[0] != caller.namespace:
        raise ForbiddenError(f"The report's source.pod is not in the token's namespace {caller.namespace!r}.")


def check_rows(
    caller: Caller, report: UsageReport, *, tenures: Tenures, now: datetime, retention: timedelta
) -> Mapping[str, str]:
    """Return by account the key that its rows are stored under.

    Raises RowsRefusedError for foreign rows (a relay retains and repeats them: the next Directory may list
    their domain), and for buckets in the future or past the retention. Raises DirectoryAwaitedError before
    the first Directory. On a laptop a caller may report rows of every account.
    """
    if not caller.trusted:
        if report.rows and not tenures.began:
            raise DirectoryAwaitedError("The operator has not sent a Directory yet. Try again later.")
        if foreign := list(_foreign_rows(caller, report, tenures)):
            raise RowsRefusedError(foreign, forbidden=True)
    faults = list(_rows_out_of_time(report, now, retention))
    if faults:
        raise RowsRefusedError(faults)
    if caller.trusted or caller.namespace is None:
        return {account: tenures.current(account).key for account in {row.account for row in report.rows}}
    epoch = tenures.of_token(caller.namespace, caller.issued)
    return {caller.namespace: epoch.key} if epoch is not None else {}


def _foreign_rows(caller: Caller, report: UsageReport, tenures: Tenures) -> Iterator[RowFault]:
    epoch = tenures.of_token(caller.namespace or "", caller.issued)
    held = {
        (domain, bucket)
        for domain, bucket in {(row.domain, row.bucket) for row in report.rows}
        if epoch is not None and tenures.holds(epoch.key, domain, bucket)
    }
    for index, row in enumerate(report.rows):
        if row.account != caller.namespace:
            yield RowFault(index, "account", f"not the account of the token's namespace {caller.namespace!r}")
        elif (row.domain, row.bucket) not in held:
            # The same text for a domain of another account as for an unknown domain: it discloses nothing.
            yield RowFault(
                index,
                "domain",
                f"this account does not hold {row.domain!r}, and did not at the time of the bucket",
            )


def _rows_out_of_time(report: UsageReport, now: datetime, retention: timedelta) -> Iterable[RowFault]:
    faults = {
        bucket: fault
        for bucket in {row.bucket for row in report.rows}
        if (fault := _out_of_time(bucket, now, retention)) is not None
    }
    if faults:
        for index, row in enumerate(report.rows):
            if row.bucket in faults:
                yield RowFault(index, "bucket", faults[row.bucket])


def _out_of_time(bucket: datetime, now: datetime, retention: timedelta) -> str | None:
    if bucket > now + FUTURE_TOLERANCE:
        minutes = FUTURE_TOLERANCE // timedelta(minutes=1)
        return f"more than {minutes} minutes ahead of the server's clock"
    if bucket < now - retention:
        return f"older than the {retention.days} days for which reports are accepted"
    return None
