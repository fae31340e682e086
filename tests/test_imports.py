"""Start time and memory are mostly imports: no process imports what only others need."""

import subprocess
import sys


def imported_by(statement: str) -> list[str]:
    program = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return done.stdout.split()


def test_http_workers_import_nothing_that_only_render_processes_need() -> None:
    modules = imported_by("import proxy.app, proxy.server.worker")
    assert not [name for name in modules if name.startswith("proxy.prepare")]
    loaded = {name.partition(".")[0] for name in modules}
    assert not loaded & {"numpy", "PIL", "onnxruntime"}


def test_render_processes_import_nothing_of_the_network() -> None:
    modules = imported_by("import proxy.render.fork_server, proxy.render.handlers")
    assert not {"asyncio", "email", "ssl"} & set(modules)
