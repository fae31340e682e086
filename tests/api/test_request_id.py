"""Request ids."""

import subprocess
import sys

from proxy.api.http.request_id import request_id


def test_ids_are_unique() -> None:
    ids = {request_id({}) for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(id) for id in ids} == {32}


def test_a_forked_process_has_its_own_prefix() -> None:
    code = (
        "import os; from proxy.api.http.request_id import request_id\n"
        "child = os.fork()\n"
        "if child: os.wait()\n"
        "print(request_id({}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours, theirs = ran.stdout.split()
    assert ours[:20] != theirs[:20]


def test_an_id_from_the_proxy_in_front_is_used() -> None:
    assert request_id({b"x-request-id": b"from-the-cdn.1"}) == "from-the-cdn.1"
