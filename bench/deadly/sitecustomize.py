"""With this folder on PYTHONPATH, an original that ends with DEADLY ends its render process.

It stands for a file that makes a decoder crash. `bench/prepare.py` has one among its pictures.
"""

import os
import signal
import sys

if "proxy.render.fork_server" in sys.orig_argv:
    from proxy import buffers

    _view = buffers.SharedBuffer.view

    def _view_or_die(self: buffers.SharedBuffer) -> buffers.Buffer:
        data = _view(self)
        if data[-6:] == b"DEADLY":
            os.kill(os.getpid(), signal.SIGKILL)
        return data

    buffers.SharedBuffer.view = _view_or_die  # type: ignore[method-assign]
