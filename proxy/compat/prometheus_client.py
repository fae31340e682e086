"""prometheus_client's multiprocess mode without its environment, and bulk updates of histograms."""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Counter, Histogram, values

from proxy.compat import check, has_all, sets_all

_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

check(
    "prometheus-client",
    {
        "metrics are made of values.ValueClass": sets_all(
            Counter._metric_init,  # noqa: SLF001 - that is what is checked
            ("values", "ValueClass"),
        ),
        "values.MultiProcessValue exists": has_all(values, ("MultiProcessValue",)),
        "Histogram has the attributes that are used": sets_all(
            Histogram._metric_init,  # noqa: SLF001 - that is what is checked
            ("_buckets", "_sum"),
        ),
    },
)


class BulkHistogram(Histogram):
    """A histogram that takes many observations in one call."""

    def add(self, counts: Iterable[int], total: float) -> None:
        """Add to each bucket its count, and the sum of all observations."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


def use_multiprocess_mode(directory: Path, number: int) -> None:
    """Keep the values of metrics that are made from now on in files that end with the number.

    prometheus_client itself decides at its import, and takes the process ID for the number: then a
    process that replaces another adds files, which are never removed.
    """
    os.environ[_DIRECTORY_VARIABLE] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: number)


def multiprocess_directory() -> str | None:
    """Return the directory of multiprocess mode; None where each process is on its own."""
    return os.environ.get(_DIRECTORY_VARIABLE)
