"""Servers on loopback that speak as Google Cloud Storage and Azure Blob Storage do.

`scripts/install-bucket-emulators` installs them where CI=true.
"""

import base64
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.request import Request, urlopen

_VENV = Path(sys.executable).parents[1]
FAKE_GCS = _VENV / "bin" / "fake-gcs-server"
AZURITE = _VENV / "clients" / "azurite" / "node_modules" / ".bin" / "azurite-blob"

ACCOUNT = "devstoreaccount1"
# The key that Azurite documents; it opens nothing else.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
AZURE_CREDENTIALS = {"AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY}

_START_SECONDS = 60.0


@contextmanager
def gcs_server(root: Path) -> Iterator[str]:
    """Serve an empty bucket ``shared``; yields the address."""
    arguments = ["-scheme=http", "-host=127.0.0.1", "-port=0", "-public-host=127.0.0.1"]
    with subprocess.Popen(
        [FAKE_GCS, *arguments, "-backend=memory", f"-data={root}", "-log-level=error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            address = f"http://127.0.0.1:{_listening_port(process)}"
            body, headers = b'{"name": "shared"}', {"content-type": "application/json"}
            with urlopen(Request(f"{address}/storage/v1/b", body, headers)):  # noqa: S310 - loopback
                pass
            yield address
        finally:
            process.terminate()


def gcs_credentials(address: str) -> Mapping[str, str]:
    account = {
        "gcs_base_url": address,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}


def for_fake_gcs(method: str, target: str) -> str:
    """The target of a request as fake-gcs-server takes it.

    Of the uploads of the XML API, which obstore uses, it knows those with a signed URL only.
    """
    return f"{target}?X-Goog-Algorithm=none" if method == "PUT" else target


def as_gcs(method: str, answer: bytes) -> bytes:
    """An answer of fake-gcs-server with the header that Google's servers give to each upload."""
    return answer.replace(b"\r\n", b"\r\netag: none\r\n", 1) if method == "PUT" else answer


@contextmanager
def azure_server(root: Path) -> Iterator[str]:
    """Serve an empty container ``shared``; yields the address of the account."""
    with subprocess.Popen(
        [
            AZURITE,
            *("--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"),
            *("--blobHost=127.0.0.1", "--blobPort=0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(root)},
        text=True,
    ) as process:
        assert process.stdout is not None
        found = (
            re.search(r"listens on (http://127\.0\.0\.1:\d+)", line) for line in process.stdout
        )
        try:
            address = f"{next(match[1] for match in found if match)}/{ACCOUNT}"
            _create_container(address)
            yield address
        finally:
            process.terminate()


def _create_container(address: str) -> None:
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + f"{signed}/{ACCOUNT}/{ACCOUNT}/shared\nrestype:container"
    mac = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), "sha256"))
    headers["authorization"] = f"SharedKey {ACCOUNT}:{mac.decode()}"
    request = Request(f"{address}/shared?restype=container", headers=headers, method="PUT")  # noqa: S310 - loopback
    with urlopen(request):  # noqa: S310 - loopback
        pass


def _listening_port(process: "subprocess.Popen[bytes]") -> int:
    """The port on which the process listens, as soon as it does; it picks one itself."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server has exited"
        sockets = set()
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                sockets.add(descriptor.readlink().name)
            except FileNotFoundError:  # closed meanwhile
                continue
        for line in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].partition(":")[2], 16)
        time.sleep(0.01)
    raise TimeoutError("the server does not listen")
