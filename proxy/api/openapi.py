"""The OpenAPI 3.1 document: the packaged description of the APIs with the operations' schemas."""

from importlib.metadata import version
from importlib.resources import files
from typing import Any

import msgspec

from proxy.operations.operation import operation_name
from proxy.operations.registry import OperationRegistry


def openapi_document(registry: OperationRegistry, path_prefix: str = "") -> dict[str, Any]:
    packaged = files("proxy").joinpath("data", "openapi.json").read_bytes()
    document = msgspec.json.decode(packaged, type=dict[str, Any])
    document["info"]["version"] = version("framekeep")
    if path_prefix:
        document["servers"] = [{"url": path_prefix}]
    references = {
        operation_name(kind): f"#/components/schemas/{kind.__name__}"
        for kind in registry.operations.values()
    }
    document["components"]["schemas"] |= registry.schemas() | {
        "Operation": {
            "oneOf": [{"$ref": reference} for reference in references.values()],
            "discriminator": {"propertyName": "type", "mapping": references},
        }
    }
    return document
