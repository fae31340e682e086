"""Where the benchmark lies, and where it installs what it needs."""

from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
WORK = REPOSITORY / "bench" / ".work"
JEMALLOC = WORK / "debian" / "usr" / "lib" / "x86_64-linux-gnu" / "libjemalloc.so.2"
