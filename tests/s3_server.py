"""An S3 server on loopback, for buckets of tests."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "user", "AWS_SECRET_ACCESS_KEY": "key-of-user"}


class S3Server(NamedTuple):
    """``folder`` is where its buckets lie; one of them is `shared`."""

    address: str
    folder: Path

    def bucket_url(self, folder: str) -> str:
        """The URL of a folder of the bucket `shared`, by any text that names it."""
        name = re.sub("[^a-z0-9]+", "-", folder.lower())
        return f"s3://shared/{name}?region=eu-central-1&endpoint={self.address}"


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
