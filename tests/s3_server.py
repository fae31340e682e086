"""An S3 server on loopback, for buckets of tests."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "key-of-user"}


@contextmanager
def s3_server(root: Path) -> Iterator[str]:
    """Serve the folders below ``root`` as buckets; yields the address. rclone must be installed."""
    assert RCLONE is not None
    with subprocess.Popen(
        [RCLONE, "serve", "s3", "--addr=127.0.0.1:0", "--auth-key=user,key-of-user", str(root)],
        stderr=subprocess.PIPE,
        env={"RCLONE_CONFIG": os.devnull, "HOME": str(root)},
        text=True,
    ) as process:
        assert process.stderr is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)
        try:
            yield next(match[0] for match in found if match)
        finally:
            process.terminate()
