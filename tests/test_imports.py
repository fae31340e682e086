"""What a start costs is mostly what is imported: HTTP workers do without what they never call."""

import subprocess
import sys


def test_http_workers_do_without_what_only_renderers_need() -> None:
    program = "import proxy.app, proxy.server.worker, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    loaded = {name.partition(".")[0] for name in done.stdout.split()}

    assert not loaded & {"numpy", "PIL", "mtcnn", "onnxruntime", "lz4"}
