"""Prefetch test items in threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def mapping(threads: int) -> Iterator[Map]:
    """Give a `map` whose calls run in this many threads; with 1 it is Python's own.

    Results come in the order of the items; an exception is raised in place of its result. Items are
    drawn by the thread that takes the results, and at most threads + 1 of them before a result is taken: a `mapping`
    of another one's results is a pipeline with few items in memory. All share the same threads.

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
