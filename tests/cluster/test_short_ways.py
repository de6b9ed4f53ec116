"""The common cases have short ways of their own through the client: what they promise is what the long ones do."""

from __future__ import annotations

import weakref
from enum import StrEnum

import numpy as np
import pytest

from fastsched import Client, Future, LocalCluster, get_client, wait
from fastsched.client.client import AT_ONCE
from tests.cluster.functions import inc


@pytest.mark.parametrize("batch_size", [None, 1, 100, AT_ONCE, AT_ONCE + 1, 1000])
def test_a_map_is_complete_whatever_its_portions(client: Client, batch_size: int | None) -> None:
    n = 3 * AT_ONCE + 1
    names = [f"{batch_size}-{index}" for index in range(n)]
    futures = client.map(inc, range(n), key=names, batch_size=batch_size)
    assert [future.key for future in futures] == names
    assert client.gather(futures) == list(range(1, n + 1))
    assert client.map(inc, []) == []


class Holder:
    def __init__(self, future: Future) -> None:
        self.future = future


class Name(StrEnum):
    FIRST = "first"


class Loud(str):
    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize("key", [Name.FIRST, Loud("loud"), np.str_("numpy")], ids=["enum", "overridden", "numpy"])
def test_a_key_may_be_any_kind_of_string(client: Client, key: str) -> None:
    futures = [client.submit(inc, 1, key=key), *client.map(inc, [1], key=[key])]
    assert client.gather(futures) == [2, 2]
    assert {future.key for future in futures} == {"".join(key)}


def test_a_future_can_be_referred_to_weakly_and_written_with_the_type_of_its_value(client: Client) -> None:
    future: Future[int] = client.submit(inc, 1)
    assert Future[int] is not None
    reference = weakref.ref(future)
    assert reference() is future
    del future
    assert reference() is None


def test_the_timeout_of_a_value_that_is_here_is_looked_at_all_the_same(client: Client) -> None:
    future = client.submit(inc, 1)
    assert future.result() == future.result(timeout=0) == 2
    with pytest.raises(ValueError, match="a timeout is"):
        future.result("soon")


def holds(x: int) -> Holder:
    return Holder(get_client().submit(inc, x))


def test_futures_in_a_value_belong_to_the_client_that_loads_it(cluster: LocalCluster, client: Client) -> None:
    future = client.submit(holds, 1)
    wait(future)
    with Client(cluster):  # now the default
        (gathered,) = client.gather([future])
        for holder in (gathered, future.result()):
            assert holder.future.client is client
            assert holder.future.result() == 2


def test_gather_of_one_future_twice_is_one_value_twice(client: Client) -> None:
    future = client.submit(list, [1])
    first, second = client.gather([future, future])
    assert first is second
    assert future.result() is not first
