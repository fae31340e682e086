"""Names of requests."""

import subprocess
import sys

from proxy.api.http.request_id import request_id


def test_no_name_comes_twice() -> None:
    names = {request_id({}) for _ in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {32}


def test_a_forked_process_has_names_of_its_own() -> None:
    code = (
        "import os; from proxy.api.http.request_id import request_id\n"
        "child = os.fork()\n"
        "if child: os.wait()\n"
        "print(request_id({}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours, theirs = ran.stdout.split()
    assert ours[:20] != theirs[:20]


def test_a_name_that_was_given_is_kept() -> None:
    assert request_id({b"x-request-id": b"from-the-cdn.1"}) == "from-the-cdn.1"
