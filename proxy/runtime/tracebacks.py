"""Let go of what the traceback of an exception holds."""

from collections.abc import Iterator


def release_tracebacks(error: BaseException) -> None:
    """Remove the tracebacks of a reported exception and of those that led to it.

    Their frames hold what the request has used, such as the original, and often refer to the
    exception again. Such a cycle is freed by the garbage collector only, which may come much later.
    """
    for one in _chain(error):
        one.__traceback__ = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: dict[int, BaseException] = {}
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        yield one
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
