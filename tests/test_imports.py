"""Start time and memory are mostly imports: HTTP workers import no image libraries."""

import subprocess
import sys


def test_http_workers_import_nothing_that_only_render_processes_need() -> None:
    program = "import proxy.app, proxy.server.worker, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    modules = done.stdout.split()
    assert not [name for name in modules if name.startswith("proxy.prepare")]
    loaded = {name.partition(".")[0] for name in modules}
    assert not loaded & {"numpy", "PIL", "onnxruntime"}
