"""Reading a question's parameters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wsedge_statistics.api.reading import no_repeats
from wsedge_statistics.errors import QueryError


class Name(str):
    """A parameter's name that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def request(*names: str) -> Any:
    items = [(Name(name), "") for name in names]
    return SimpleNamespace(query_params=SimpleNamespace(multi_items=lambda: items))


def test_thousands_of_parameters_are_looked_at_once_each() -> None:
    """A head full of names, from whoever it comes, does not hold up everybody for seconds."""
    Name.compared = 0
    no_repeats(request(*(str(number) for number in range(2000))))
    assert Name.compared < 20_000


def test_a_parameter_given_twice_is_refused() -> None:
    """Only domain may be repeated."""
    no_repeats(request("domain", "domain", "start"))
    with pytest.raises(QueryError, match="start"):
        no_repeats(request("domain", "start", "start"))
