"""thumbor's settings without a counterpart, each with the reason."""

from collections.abc import Mapping

_ENCODER = "encoders are not set one by one; docs/formats.md says how they work"
_PLUGIN = "there are no plug-ins"
_ALWAYS = "is always so here"

REASONS: Mapping[str, str] = {
    "MAX_WIDTH": "larger sizes are refused: max_result_dimension in [limits]",
    "MAX_HEIGHT": "larger sizes are refused: max_result_dimension in [limits]",
    "MIN_WIDTH": "the smallest side is 1",
    "MIN_HEIGHT": "the smallest side is 1",
    "PROGRESSIVE_JPEG": _ENCODER,
    "WEBP_QUALITY": "each format has a default quality; links may name another",
    "HEIF_QUALITY": "each format has a default quality; links may name another",
    "PNG_COMPRESSION_LEVEL": _ENCODER,
    "SRGB_PROFILE": "results are in sRGB",
    "AUTO_PNG_TO_JPG": "the format of the original is kept, unless auto_format chooses",
    "SVG_DPI": "an SVG is drawn at the size of the result",
    "MAX_AGE_TEMP_IMAGE": "every result is finished when it is sent",
    "IGNORE_SMART_ERRORS": _ALWAYS,
    "SEND_IF_MODIFIED_LAST_MODIFIED_HEADERS": _ALWAYS,
    "ENABLE_ETAGS": _ALWAYS,
    "ALLOW_ANIMATED_GIFS": _ALWAYS + "; the filter cover keeps the first frame",
    "USE_GIFSICLE_ENGINE": _PLUGIN,
    "USE_BLACKLIST": "purge an image, and remove it at the source",
    "ENGINE_THREADPOOL_SIZE": "render processes are set in [render]",
    "METRICS": "metrics are at /metrics, in the format of Prometheus",
    "ENGINE": "libvips is the engine",
    "GIF_ENGINE": "libvips is the engine",
    "STORES_CRYPTO_KEY_FOR_EACH_IMAGE": "list every key in keys in [thumbor]",
    "MAX_ID_LENGTH": "originals are not uploaded here",
    "GC_INTERVAL": "there is no such setting",
    "HEALTHCHECK_ROUTE": "health checks are at /health",
    "META_CALLBACK_NAME": "descriptions are JSON",
    "OPTIMIZERS": "there are no optimizers",
    "FFMPEG_PATH": "videos are not written",
    "FILTERS": "all filters are on; docs/thumbor.md lists them",
    "USE_CUSTOM_ERROR_HANDLING": _PLUGIN,
    "URL_SIGNER": "links are signed with HMAC-SHA1",
    "MAX_WAIT_SECONDS_BEFORE_SERVER_SHUTDOWN": "the shutdown is set in [server]",
    "MAX_WAIT_SECONDS_BEFORE_IO_SHUTDOWN": "the shutdown is set in [server]",
    "NON_BLOCKING_SOCKETS": _ALWAYS,
    "HANDLER_LISTS": _PLUGIN,
    "APP_CLASS": _PLUGIN,
}
