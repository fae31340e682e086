"""Fuzz everything that reads a stranger's bytes, guided by coverage, and time it.

    pip install atheris
    python bench/fuzz                                   a minute for each target
    python bench/fuzz --minutes 10 --targets probe links
    python bench/fuzz --seeds FOLDER                     begin with these files too

An input that ends in anything but the documented errors is a crash. An input is slow if it takes
more than 50 ms for each started kilobyte; that is measured once more without instrumentation.
Crashes and slow inputs stay in the folder that is printed at the end.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seeds import seeds
from targets import TARGETS

MAX_MS_PER_KB = 50.0
SUSPECT_MS_PER_KB = MAX_MS_PER_KB / 2
"""What is slower than this while instrumented is timed again."""

MAX_INPUT_BYTES = 16_384
MAX_SUSPECTS = 50
REPETITIONS = 5


class Run:
    """One target in one process, instrumented; notes what is slow in the folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self._target = TARGETS[name]()
        self._folder = folder
        self._count = 0
        self._suspects: list[float] = []

    def __call__(self, data: bytes) -> None:
        self._count += 1
        started = time.process_time()
        self._target(data)
        rate = (time.process_time() - started) * 1000 / kilobytes(data)
        is_suspect = rate > SUSPECT_MS_PER_KB and len(self._suspects) < MAX_SUSPECTS
        if is_suspect:
            self._suspects.append(rate)
            (self._folder / f"suspect-{len(self._suspects)}").write_bytes(data)
        if is_suspect or self._count % 1000 == 0:
            (self._folder / "count").write_text(str(self._count))


def kilobytes(data: bytes) -> int:
    return len(data) // 1024 + 1


def run_instrumented(name: str, folder: Path, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["proxy"]):
        run = Run(name, folder)
    arguments = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-artifact_prefix={folder}/",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-verbosity=0",
        str(folder / "corpus"),
    ]
    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


def time_again(name: str, paths: list[Path]) -> list[tuple[float, Path]]:
    """Milliseconds for each kilobyte of each input, without instrumentation."""
    target = TARGETS[name]()

    def measure(data: bytes) -> float:
        started = time.process_time()
        target(data)
        return (time.process_time() - started) * 1000 / kilobytes(data)

    times = []
    for path in paths:
        data = path.read_bytes()
        times.append((min(measure(data) for _ in range(REPETITIONS)), path))
    return sorted(times, reverse=True)


def fuzz(name: str, folder: Path, seconds: int, extra_seeds: Path | None) -> bool:
    """Fuzz one target, print its row, and return whether nothing was found."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    if extra_seeds is not None and name == "probe":
        for path in extra_seeds.iterdir():
            if path.is_file() and path.stat().st_size <= MAX_INPUT_BYTES:
                shutil.copy(path, corpus)
    command = (sys.executable, __file__, "--run", name, str(folder), str(seconds))
    with (folder / "log").open("wb") as log:
        subprocess.run(command, check=False, stdout=log, stderr=log)
    crashes = [*folder.glob("crash-*"), *folder.glob("timeout-*"), *folder.glob("oom-*")]
    timed = time_again(name, sorted(folder.glob("suspect-*")))
    slow = [path for rate, path in timed if rate > MAX_MS_PER_KB]
    count = int((folder / "count").read_text()) if (folder / "count").exists() else 0
    slowest = f"{timed[0][0]:.1f}" if timed else f"< {SUSPECT_MS_PER_KB:g}"
    found = len(list(corpus.iterdir()))
    print(f"| {name} | {count} | {found} | {len(crashes)} | {slowest} | {len(slow)} |", flush=True)
    return not crashes and not slow and count > 0


def main() -> int:
    if sys.argv[1:2] == ["--run"]:
        _, _, name, folder, seconds = sys.argv
        run_instrumented(name, Path(folder), int(seconds))
    parser = argparse.ArgumentParser(description="fuzz what reads a stranger's bytes")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seeds", type=Path, help="a folder with more images to begin with")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="framekeep-fuzz-"))
    print("| target | inputs | corpus | crashes | slowest ms per kB | slow inputs |")
    print("| --- | --- | --- | --- | --- | --- |")
    seconds = round(options.minutes * 60)
    results = [fuzz(name, root / name, seconds, options.seeds) for name in options.targets]
    print(f"\n{root}", file=sys.stderr)
    return os.EX_OK if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
