import os

from proxy.render.config import RenderConfig
from proxy.runtime.cores import available_cores
from proxy.server.config import ServerConfig


def test_at_least_one_core_is_available() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_each_core_renders_and_two_have_an_http_worker() -> None:
    cores = available_cores()
    assert RenderConfig().process_count == cores
    workers = ServerConfig().worker_count
    assert workers >= 1
    assert workers * 2 in (cores, cores + 1)


def test_numbers_that_are_set_count() -> None:
    assert RenderConfig(processes=3).process_count == 3
    assert ServerConfig(workers=3).worker_count == 3
