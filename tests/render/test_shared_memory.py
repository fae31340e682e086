"""Memory of one process that another one reads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.render.shared_memory import Loans

LENDER = """
import sys
from pathlib import Path
from test_shared_memory import About, filled
from proxy.render.shared_memory import Loans
loans, blob = Loans(Path(sys.argv[1]), "thing"), filled(b"of somebody else")
loans.lend("a", blob, About(7))
print("lent", flush=True)
for line in sys.stdin:
    if line == "replace\\n":
        del blob
        blobs = [filled(b"something else") for _ in range(3)]
        print("replaced", flush=True)
"""


class About(Struct, frozen=True):
    number: int


def filled(data: bytes) -> SharedBuffer:
    room = OutputBuffer(len(data))
    os.pwrite(room.descriptor, data, 0)
    return room.sealed(len(data))


@contextmanager
def lender(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", LENDER, str(folder)]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lent\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_what_another_process_lends_can_be_read_and_outlasts_it(tmp_path: Path) -> None:
    with lender(tmp_path):
        lent = Loans(tmp_path, "thing").borrow("a", About)
        assert lent is not None
    blob, about = lent
    assert blob.read() == b"of somebody else"
    assert about == About(7)


def test_what_is_not_lent_any_more_is_not_to_be_had(tmp_path: Path) -> None:
    loans = Loans(tmp_path, "thing")
    assert loans.borrow("a", About) is None
    with lender(tmp_path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("replace\n")
        process.stdin.flush()
        assert process.stdout.readline() == "replaced\n"
        assert loans.borrow("a", About) is None  # another file has its number
    assert loans.borrow("a", About) is None  # nobody is there any more


def test_what_is_taken_back_is_not_to_be_had(tmp_path: Path) -> None:
    loans, blob = Loans(tmp_path, "thing"), filled(b"mine")
    loans.lend("a", blob, About(1))
    assert loans.borrow("a", About) is not None
    loans.take_back("a")
    loans.take_back("a")
    assert loans.borrow("a", About) is None


def test_what_can_still_be_written_to_is_not_borrowed(tmp_path: Path) -> None:
    loans, blob = Loans(tmp_path, "thing"), SharedBuffer.of(b"not sealed")
    loans.lend("a", blob, About(1))
    assert loans.borrow("a", About) is None


def test_a_note_that_makes_no_sense_is_no_note(tmp_path: Path) -> None:
    class Other(Struct):
        text: str

    loans, blob = Loans(tmp_path, "thing"), filled(b"mine")
    loans.lend("a", blob, About(1))
    assert loans.borrow("a", Other) is None
    (tmp_path / "thing-a").write_bytes(b"\xc1")
    assert loans.borrow("a", About) is None


def test_without_a_folder_nothing_is_lent(tmp_path: Path) -> None:
    blob = filled(b"mine")
    for loans in (Loans(None, "thing"), Loans(tmp_path / "gone", "thing")):
        loans.lend("a", blob, About(1))
        assert loans.borrow("a", About) is None
        loans.take_back("a")
