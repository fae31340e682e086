"""Cache what detectors found in an original, so that every size is placed from one detection."""

from proxy.cache import entries
from proxy.cache.store import Store
from proxy.originals import Original, digest
from proxy.smartcrop.subject import Subject
from proxy.telemetry.request_context import record_cache


class DetectionCache:
    """Subjects by original and detector version: another detector finds something else."""

    def __init__(self, store: Store, detector_version: str) -> None:
        self._store = store
        self._detector_version = detector_version.encode()

    async def get(self, original: Original) -> Subject | None:
        subject = entries.decode_detection(await self._store.get("detection", self._key(original)))
        record_cache("detection", "miss" if subject is None else "hit")
        return subject

    async def put(
        self, original: Original, subject: Subject, tags: tuple[str, ...], cost: float
    ) -> None:
        """Store the subject; ``cost`` is the seconds that the detection took."""
        entry = entries.encode_detection(subject, tags, cost)
        await self._store.put("detection", self._key(original), entry)

    def _key(self, original: Original) -> str:
        return digest(original.digest.encode(), self._detector_version)
