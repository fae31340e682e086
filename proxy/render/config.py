"""The settings of the render processes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxy.errors import ConfigError
from proxy.runtime.cores import available_cores


class OptimizationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Renditions that are requested often are encoded once more, in fewer bytes."""

    mode: Annotated[
        Literal["off", "popular", "all"],
        Meta(
            description=(
                "Which renditions are replaced by one of fewer bytes and the same look, when the "
                "machine has time: none, those that are requested again (`popular`), or all."
            )
        ),
    ] = "off"

    after_requests: Annotated[
        int,
        Meta(ge=1, le=255, description="Requests from which on a rendition is `popular`."),
    ] = 3

    first_max_age_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description=(
                "`max-age` in seconds of a rendition that may still be replaced, so that CDNs ask "
                "again soon. A shorter time to live counts."
            ),
        ),
    ] = 60

    webp_first: Annotated[
        bool,
        Meta(
            description=(
                "With `convert:auto`, answer clients that accept AVIF with WebP first, which takes "
                "a fraction of the CPU time. AVIF takes its place later."
            )
        ),
    ] = False

    cpu_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description=(
                "CPU time in seconds to replace one rendition. When it is used up, the first one "
                "stays."
            ),
        ),
    ] = 20.0


class RenderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The render processes of this machine, and the queue in front of them."""

    processes: Annotated[
        int,
        Meta(
            ge=0,
            le=256,
            description=(
                "Number of render processes on this machine, shared by its HTTP workers. 0 means "
                "one for each CPU core."
            ),
        ),
    ] = 0

    max_memory_bytes: Annotated[
        int,
        Meta(
            ge=64 * 1024 * 1024,
            description=(
                "Memory that one render process may allocate for its work. Above it, the render "
                "fails and the process is replaced. The default is what the default limits on "
                "pixels can need; ordinary pictures take a tenth of it."
            ),
        ),
    ] = 1536 * 1024 * 1024

    max_memory_growth_bytes: Annotated[
        int,
        Meta(
            ge=16 * 1024 * 1024,
            description=(
                "Memory growth after which a render process is replaced, between two tasks."
            ),
        ),
    ] = 64 * 1024 * 1024

    max_tasks_per_process: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Tasks after which a render process is replaced.")
    ] = 2000

    nice: Annotated[
        int,
        Meta(
            ge=0,
            le=19,
            description=(
                "Nice value of the render processes. Above 0, HTTP workers get the CPU first, so "
                "that cached images are served fast while all cores render. The higher it is, the "
                "longer a render takes beside other busy programs."
            ),
        ),
    ] = 5

    sandbox: Annotated[
        bool,
        Meta(
            description=(
                "Confine the render processes with everything the kernel offers. "
                "`framekeep doctor` lists the active guards."
            )
        ),
    ] = True

    require_sandbox: Annotated[
        bool,
        Meta(
            description=(
                "Do not start, and render nothing, where a guard of the sandbox is missing, for "
                "example on a kernel without Landlock. Without this, `/health/ready` and "
                "`framekeep doctor` say what is missing."
            )
        ),
    ] = False

    def validate(self) -> None:
        """Raise ConfigError where settings contradict each other."""
        if self.require_sandbox and not self.sandbox:
            raise ConfigError(
                "FRAMEKEEP_RENDER_REQUIRE_SANDBOX is true, and FRAMEKEEP_RENDER_SANDBOX is false"
            )

    @property
    def process_count(self) -> int:
        """How many render processes that makes."""
        return self.processes or available_cores()
