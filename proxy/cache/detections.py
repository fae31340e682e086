"""Cache what detectors found in an original, so that every size is placed from one detection.

Of an animation or a document each choice of frames or pages has its own detection.
"""

from proxy.cache import entries
from proxy.cache.store import Store
from proxy.imaging.frames import FrameRange
from proxy.originals import Original, digest
from proxy.smartcrop.subject import Subject
from proxy.telemetry.request_context import record_cache


class DetectionCache:
    """Subjects by original and detector version: another detector finds something else."""

    def __init__(self, store: Store, detector_version: str) -> None:
        self._store = store
        self._detector_version = detector_version.encode()

    async def get(self, original: Original, frames: FrameRange) -> Subject | None:
        """The subject that was detected in these frames of the original."""
        key = self._key(original, frames)
        subject = entries.decode_detection(await self._store.get("detection", key))
        record_cache("detection", "miss" if subject is None else "hit")
        return subject

    async def put(
        self,
        original: Original,
        frames: FrameRange,
        subject: Subject,
        tags: tuple[str, ...],
        cost: float,
    ) -> None:
        """Store the subject; ``cost`` is the seconds that the detection took."""
        entry = entries.encode_detection(subject, tags, cost)
        await self._store.put("detection", self._key(original, frames), entry)

    def _key(self, original: Original, frames: FrameRange) -> str:
        return digest(original.digest.encode(), self._detector_version, str(frames).encode())
