#!/usr/bin/env python3
"""Compare bytes, CPU time and waiting times with and without "answer now, better later".

    bench/better.py FOLDER                            2,000 pictures, 20,000 requests
    bench/better.py FOLDER --pictures 100 --requests 1500

The pictures are different windows of the photographs in FOLDER. First each is requested once: that
are the misses. Then requests follow Zipf's law, with pauses in which popular renditions are
replaced. Each kind of client has a server with an empty cache, without optimization, with it, and
with WebP as the first answer to clients that accept AVIF. Look: `bench/quality` and
`proxy/imaging/optimize.py`, which replaces nothing by what SSIMULACRA2 finds worse.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyvips
from spike import Times, run_server, serve_origin

import proc_stats  # isort: skip - spike adds its folder to the path

CLIENTS = {
    "jpeg": ("convert:jpeg", b""),
    "webp": ("convert:auto", b"Accept: image/webp\r\n"),
    "avif": ("convert:auto", b"Accept: image/avif,image/webp\r\n"),
}
MODES = {
    "off": {"MODE": "off"},
    "popular": {"MODE": "popular"},
    "popular, WebP first": {"MODE": "popular", "WEBP_FIRST": "true"},
}


def make_windows(folder: Path, count: int) -> list[bytes]:
    """Windows of 640x480 of the photographs, each in a place of its own."""
    random, files = np.random.default_rng(1), sorted(folder.glob("*.jpg"))
    pictures = []
    for index in range(count):
        image = pyvips.Image.thumbnail(
            str(files[index % len(files)]), 900, height=720, crop="centre"
        )
        left, top = (int(random.integers(0, end + 1)) for end in (260, 240))
        pictures.append(image.crop(left, top, 640, 480).jpegsave_buffer(Q=90))
    return pictures


async def send(port: int, requests: list[bytes], pause: float) -> tuple[Times, int]:
    """Send one after the other; the times, and the bytes of all bodies."""
    times, total = Times(), 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        started = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        times.seconds.append(time.perf_counter() - started)
        times.statuses[int(head[9:12])] += 1
        total += length
        await asyncio.sleep(pause)
    writer.close()
    assert set(times.statuses) == {200}, times.statuses
    return times, total


def main() -> None:
    parser = argparse.ArgumentParser(description="answer now, better later")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds after each request")
    options = parser.parse_args()
    pictures = make_windows(options.folder, options.pictures)
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    origin = context.Process(target=serve_origin, args=(pictures, sending), daemon=True)
    origin.start()
    origin_port = receiving.recv()
    ranks = np.arange(1, options.pictures + 1)
    chances = (1 / ranks) / (1 / ranks).sum()
    drawn = np.random.default_rng(2).choice(options.pictures, options.requests, p=chances)
    print(
        f"{options.pictures} pictures, {options.requests} requests, "
        f"{proc_stats.describe_machine()}\n"
    )
    print(
        "| client | mode | CPU ms a miss | p99 ms of misses | MB of the load | CPU s of the load |"
    )
    print("|" + " --- |" * 6)
    for client, (convert, accept) in CLIENTS.items():
        for mode, settings in MODES.items():
            if client != "avif" and "WEBP_FIRST" in settings:
                continue
            os.environ |= {
                f"FRAMEKEEP_OPTIMIZATION_{name}": text for name, text in settings.items()
            }
            links = [
                b"GET /_/resize:480/%b/http://127.0.0.1:%d/%d-p.jpg HTTP/1.1\r\nHost: a\r\n%b\r\n"
                % (convert.encode(), origin_port, number, accept)
                for number in range(options.pictures)
            ]
            with tempfile.TemporaryDirectory() as cache, run_server(Path(cache)) as (pid, port):
                start = proc_stats.cpu_seconds(pid)
                misses, _ = asyncio.run(send(port, links, 0.0))
                missed = proc_stats.cpu_seconds(pid)
                load = [links[number] for number in drawn]
                _, size = asyncio.run(send(port, load, options.pause))
                loaded = proc_stats.cpu_seconds(pid)
            print(
                f"| {client} | {mode} | {(missed - start) / len(links) * 1000:.0f} "
                f"| {misses.percentile_ms(99):.0f} | {size / 1e6:.1f} | {loaded - missed:.0f} |",
                flush=True,
            )
            os.environ.pop("FRAMEKEEP_OPTIMIZATION_WEBP_FIRST", None)
    origin.terminate()


if __name__ == "__main__":
    main()
