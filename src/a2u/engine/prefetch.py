"""Prefetch test items in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def mapping(threads: int) -> Iterator[Map]:
    """Python's `map`, its calls made by so many threads; with 1 it is `map` itself.

    Results come in the order of the items. An exception of a call comes in its result's place, as itself. Items are
    drawn by the thread that takes the results, and at most threads + 1 of them before a result is taken: a `mapping`
    of what another one gives is a pipeline in which few items are under way. All share the same threads.

    >>> with mapping(2) as each:
    ...     print(list(each(abs, each(float, ["-1", "2"]))))
    [1.0, 2.0]
    """
    if threads == 1:
        yield map
        return
    pool = ThreadPoolExecutor(threads)

    def ahead(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads or waiting[0].done():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield ahead
    finally:
        pool.shutdown(cancel_futures=True)
