"""Where the shelf of one kind stands, opened when it can be, and opened again when it was lost."""

import contextlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from proxy.cache.disk_table import Shelf
from proxy.cache.files import Files
from proxy.cache.folder import Folder, Unfit
from proxy.cache.sqlite import StorageFailed, index_of, inode
from proxy.cache.store import Everything, Kind

logger = logging.getLogger(__name__)

T = TypeVar("T")
Verb = Literal["read", "written"]

_SHED_BYTES = 1024 * 1024  # given back to a disk that is too full to open an index on
_ASIDE = ".aside-"


class Ground:
    """The folder of all kinds, opened when it can be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: Folder | None = None
        self._opening = threading.Lock()

    def folder(self) -> Folder:
        """The folder as it is now. Raises StorageFailed."""
        with self._opening:
            if self._folder is None or not self._folder.in_place():
                try:
                    self._folder = Folder(self._path)
                except Unfit as error:
                    raise StorageFailed(str(error)) from error
                except OSError as error:
                    raise StorageFailed(f"{self._path}: {error.strerror}") from error
            return self._folder

    def close(self) -> None:
        """Let go of the folder."""
        self._folder = None

    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        """Whether what is kept there is still the same; None when nothing can be known."""
        folder = self._folder
        same = None if folder is None else folder.generations.watch(*places)
        if same is None:
            return None
        return lambda: self._folder is folder and same()

    def changed(self, kind: Kind, key: str | None) -> None:
        """What is kept under the key is another; None stands for any key."""
        folder = self._folder
        if folder is not None and key is None:
            folder.generations.change_all()
        elif folder is not None and key is not None:
            folder.generations.change(kind, key)


class Place:
    """The shelf of one kind. All but ``touch`` and ``tell`` block, and are for threads."""

    def __init__(
        self, ground: Ground, kind: Kind, budget: int, retry: float, clock: Callable[[], float]
    ) -> None:
        """``retry``: seconds to go without a shelf that could not be opened."""
        self.budget = budget
        self._ground = ground
        self._kind: Kind = kind
        self._retry = retry
        self._clock = clock
        self._lock = threading.Lock()
        self._shelf: Shelf | None = None
        self._users: dict[Shelf, int] = {}
        self._ruined: int | None = None
        self._shut: tuple[float, StorageFailed] | None = None  # until then, monotonic; and why
        self._may_shed = True
        self._troubles: dict[Verb, str] = {}

    def call(self, verb: Verb, work: Callable[[Shelf], T]) -> T:
        """Do the work on the shelf. Raises StorageFailed."""
        try:
            with self._using() as shelf:
                done = work(shelf)
        except StorageFailed as error:
            self.tell(verb, str(error))
            raise
        self.tell(verb, "")
        return done

    def insist(self, work: Callable[[Shelf], T]) -> T:
        """Do the work, if need be on a shelf that is begun anew. Raises StorageFailed."""
        try:
            return self.call("written", work)
        except StorageFailed as error:
            if not error.ruined:
                raise
        return self.call("written", work)

    def empty(self) -> int:
        """Forget everything, at once however much it is; how many entries that were.

        Raises StorageFailed.
        """
        count = self.insist(Shelf.stats).entries
        folder = self._ground.folder()
        try:
            with self._lock, folder.locked():
                self._set_aside(folder.path / self._kind)
        except OSError as error:
            raise StorageFailed(error.strerror or str(error)) from error
        self.insist(partial(Shelf.note_purge, selector=Everything(), soft=False))
        self._ground.changed(self._kind, None)
        return count

    def touch(self, key: str) -> None:
        shelf = self._shelf
        if shelf is not None:
            shelf.touch(key)

    def close(self) -> None:
        """Close the shelf; nobody may be using it."""
        if self._shelf is not None:
            with contextlib.suppress(StorageFailed):
                self._shelf.flush()
            self._shelf.close()

    def tell(self, verb: Verb, trouble: str) -> None:
        """Log that something went wrong, or right again: once, not for every request."""
        if self._troubles.get(verb, "") == trouble:
            return
        self._troubles[verb] = trouble
        if trouble:
            logger.warning("cache: no %s can be %s: %s", self._kind, verb, trouble)
        else:
            logger.warning("cache: every %s can be %s again", self._kind, verb)

    @contextlib.contextmanager
    def _using(self) -> Iterator[Shelf]:
        with self._lock:
            folder = self._ground.folder()
            if self._shelf is not None and not self._shelf.in_place():
                self._retire(self._shelf)
            shelf = self._shelf = self._shelf or self._open(folder)
            self._users[shelf] = self._users.get(shelf, 0) + 1
        try:
            yield shelf
        except StorageFailed as error:
            if error.ruined:
                with self._lock:
                    self._ruined = shelf.inode
                    self._retire(shelf)
            raise
        finally:
            with self._lock:
                self._users[shelf] -= 1
                if not self._users[shelf]:
                    del self._users[shelf]
                    if shelf is not self._shelf:
                        shelf.close()

    def _retire(self, shelf: Shelf) -> None:
        """Use the shelf no more; it is closed when its last user leaves."""
        if shelf is self._shelf:
            self._shelf = None
            if shelf not in self._users:
                shelf.close()

    def _open(self, folder: Folder) -> Shelf:
        if self._shut is not None and time.monotonic() < self._shut[0]:
            raise self._shut[1]
        try:
            with folder.locked():
                shelf = self._open_in(folder)
        except (StorageFailed, OSError) as error:
            failed = error if isinstance(error, StorageFailed) else StorageFailed(str(error))
            self._shut = time.monotonic() + self._retry, failed
            raise failed from error
        self._shut, self._may_shed = None, True
        return shelf

    def _open_in(self, folder: Folder) -> Shelf:
        path = folder.path / self._kind
        make = partial(
            Shelf,
            path,
            self._kind,
            self.budget,
            on_change=partial(self._ground.changed, self._kind),
            clock=self._clock,
        )
        if self._ruined is not None and inode(index_of(path)) == self._ruined:
            self._begin_anew(path)
        try:
            return make()
        except StorageFailed as error:
            if self._may_shed and (error.full or _is_full(folder.path)):
                self._may_shed = False  # once; if others fill the disk, it is not ours to empty
                Files(path).shed(_SHED_BYTES)
            elif error.ruined:
                self._begin_anew(path)
            else:
                raise
        return make()

    def _begin_anew(self, path: Path) -> None:
        logger.warning("cache: the index of every %s is broken, a new one is begun", self._kind)
        self._set_aside(path)

    def _set_aside(self, path: Path) -> None:
        self._ruined = None
        path.rename(path.with_name(f"{path.name}{_ASIDE}{secrets.token_hex(4)}"))
        for old in path.parent.glob(f"{path.name}{_ASIDE}*"):
            # Behind us: it may be a hundred thousand files.
            threading.Thread(target=shutil.rmtree, args=(old, True), daemon=True).start()


def _is_full(path: Path) -> bool:
    """SQLite calls a disk that is too full to open an index on an I/O error."""
    about = os.statvfs(path)
    return about.f_bavail * about.f_frsize < _SHED_BYTES
