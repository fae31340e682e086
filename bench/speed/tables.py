"""The tables of the report, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from measure import RunPlan
from results import Results
from statistics_table import format_number, markdown_table

_BEGIN = "<!-- written by `bench/run --markdown`: begin -->"
_END = "<!-- written by `bench/run --markdown`: end -->"


@dataclass
class Table:
    """``errors`` are lines below the table: servers that could not do a scenario, and why."""

    title: str
    text: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, scenario: str, server: str, *cells: str | float | None) -> None:
        written = [cell if isinstance(cell, str) else format_number(cell) for cell in cells]
        self.rows.append([scenario, server, *written])

    def add_error(self, scenario: str, server: str, error: str) -> None:
        self.rows.append([scenario, server, *["-"] * (len(self.head) - 2)])
        self.errors.append(f"{scenario}, {server}: {_one_line(error)}")

    def markdown(self) -> str:
        parts = [f"### {self.title}", self.text, markdown_table(self.head, self.rows)]
        parts += ["\n".join(f"- {error}" for error in self.errors)] if self.errors else []
        return "\n\n".join(parts)


def versions_table(versions: Mapping[str, tuple[str, str]]) -> Table:
    """``versions`` are those of each server, and its start or why there was none."""
    text = "And how long each server takes from its start to its first answer, whatever that is."
    table = Table("Versions", text, ("server", "version", "start"))
    table.rows = [
        (name, _one_line(version), _one_line(start)) for name, (version, start) in versions.items()
    ]
    return table


def results_table(title: str, text: str, results: Results, plan: RunPlan) -> Table:
    """Cold renditions and hits: one row for each scenario and server."""
    head = ["scenario", "server", "CPU ms", "x floor"]
    head += [
        f"{count} connection{'s' * (count > 1)}: /s, p50, p99 ms"
        for count in plan.connection_counts
    ]
    head += ["kB", "SSIM"]
    measures_memory = any(one.peak_memory for one in results.by_key.values())
    head += ["peak MB", "MB after"] if measures_memory else []
    table = Table(title, text, head)
    for scenario, server, measured in results.by_scenario():
        if measured.error and not measured.rates:
            table.add_error(scenario, server, measured.error)
            continue
        cells = [results.cpu(scenario, server), results.ratio_to_floor(scenario, server)]
        rates = []
        for count in plan.connection_counts:
            if count in measured.rates:
                p50, p99 = map(format_number, measured.latency(count))
                rates.append(f"{format_number(measured.rate(count))}, {p50}, {p99}")
            else:
                rates.append("-")
        size = format_number(measured.bytes / 1000 if measured.bytes else None)
        ssim = "-" if measured.ssim is None else f"{measured.ssim:.4f}"
        memory = [
            bytes / 2**20 if bytes else None
            for bytes in (measured.peak_memory, measured.memory_after)
        ]
        table.add(scenario, server, *cells, *rates, size, ssim, *memory * measures_memory)
        if measured.error:
            table.errors.append(f"{scenario}, {server}: {_one_line(measured.error)}")
    return table


def place_report(report: str, text: str) -> str:
    """The report between the marks of a text, in place of an older one; alone without marks."""
    begin, end = text.find(_BEGIN), text.find(_END)
    if not 0 <= begin < end:
        return f"{report}\n"
    return f"{text[: begin + len(_BEGIN)]}\n\n{report}\n\n{text[end:]}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:300]
