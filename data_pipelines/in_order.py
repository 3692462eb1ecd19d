"""Concurrent calls whose results come in the order of their arguments, in bounded memory."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
from collections.abc import Iterable, Iterator
from typing import Callable, TypeVar

A = TypeVar("A")
R = TypeVar("R")


def map_in_order(
    pool: concurrent.futures.Executor, function: Callable[[A], R], arguments: Iterable[A], ahead: int
) -> Iterator[R]:
    """Works like `pool.map`, but takes at most `ahead` arguments before their results are consumed.

    Args:
      pool: runs the calls.
      function: called with each argument.
      arguments: may be endless.
      ahead: the largest number of calls that are under way or whose results are waiting.

    Yields:
      The results, in the order of the arguments; the first error is raised when its turn comes.
    """
    arguments = iter(arguments)
    waiting = collections.deque(pool.submit(function, each) for each in itertools.islice(arguments, ahead))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(function, each) for each in itertools.islice(arguments, 1))
