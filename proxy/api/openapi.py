"""The description of every face in OpenAPI 3.1, put together from the faces and the catalogue."""

from importlib.metadata import version
from typing import Any

from proxy.api import health
from proxy.api.azure import analysis, vision
from proxy.api.transform import endpoint
from proxy.operations.plan import OperationRegistry, name_of

Json = dict[str, Any]

_INTEGER: Json = {"type": "integer"}
_TEXT: Json = {"type": "string"}
_OPERATION = "#/components/schemas/Operation"


def document(catalogue: OperationRegistry) -> Json:
    """The whole document, ready to be written as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Framekeep",
            "version": version("framekeep"),
            "description": "An image origin for CDNs: links, and three published APIs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/{signature}/{link}": {"get": _links()},
            **{
                f"/vision/v{number}/{call}": {"post": described(number)}
                for number in ("3.2", "3.1", "3.0", "2.1", "2.0")
                for call, described in (
                    ("generateThumbnail", _thumbnail),
                    ("areaOfInterest", _area),
                )
            },
            "/computervision/imageanalysis:analyze": {"post": _analyze()},
            endpoint.PATH: {"post": _transform()},
            **{path: {"get": _health(path)} for path in (health.LIVE, health.READY[0])},
        },
        "components": {
            "securitySchemes": {
                "subscriptionKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Ocp-Apim-Subscription-Key",
                },
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {**_SCHEMAS, **_operations(catalogue)},
        },
    }


def _operations(catalogue: OperationRegistry) -> Json:
    schemas = catalogue.schemas()
    names = {name_of(kind): kind.__name__ for kind in catalogue.operations.values()}
    places = {name: f"#/components/schemas/{schema}" for name, schema in names.items()}
    return {
        "Operation": {
            "oneOf": [{"$ref": place} for place in places.values()],
            "discriminator": {"propertyName": "type", "mapping": places},
        },
        **schemas,
    }


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _answers(success: Json, failure: Json, **named: str) -> Json:
    """Answers of one call: 200 and what else is named, and any other in the shape of failures."""
    failed = {"description": "What went wrong.", "content": failure}
    return {
        "200": success,
        **{
            status.removeprefix("_"): failed | {"description": said}
            for status, said in named.items()
        },
        "default": failed,
    }


def _parameter(name: str, schema: Json, said: str, *, required: bool = False) -> Json:
    about = {"name": name, "in": "query", "schema": schema, "description": said}
    return about | ({"required": True} if required else {})


_PICTURE = {
    "description": "The picture.",
    "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
}


def _links() -> Json:
    return {
        "tags": ["Links"],
        "summary": "A picture by its link",
        "operationId": "picture",
        "description": "Steps and a source, divided by slashes: `resize:800:600/convert:auto/https://…`.",
        "parameters": [
            {
                "name": "signature",
                "in": "path",
                "required": True,
                "schema": {
                    "type": "string",
                    "pattern": "^(_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43})$",
                },
                "description": "Of all that follows; `_` where unsigned links are taken.",
            },
            {
                "name": "link",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "Steps and source; it holds slashes, which are not encoded.",
            },
        ],
        "responses": _answers(
            _PICTURE | {"headers": {"X-Cache": {"schema": {"enum": ["hit", "stale", "miss"]}}}},
            {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            _400="The link is written wrongly.",
            _403="The link is not signed, or its source may not be asked.",
            _404="The source has nothing there.",
            _410="The link has expired.",
            _503="Too much is waiting.",
        )
        | {"304": {"description": "What the asker has is still right."}},
    }


def _body() -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "properties": {"img": {"type": "string", "format": "binary"}},
        "required": ["img"],
    }
    return {
        "required": True,
        "content": {
            **_json({"$ref": "#/components/schemas/ImageUrl"}),
            "application/octet-stream": binary,
            "multipart/form-data": {"schema": form},
        },
    }


def _vision(number: str, name: str, parameters: list[Json], success: Json) -> Json:
    nested = number == "3.2"
    model = _parameter("model-version", {"enum": ["latest", *vision.MODELS]}, "Of no effect.")
    shape = {"$ref": f"#/components/schemas/{'AzureError' if nested else 'AzureFlatError'}"}
    return {
        "tags": ["Azure Computer Vision"],
        "summary": name,
        "operationId": f"{name}{number.replace('.', '_')}",
        "security": [{"subscriptionKey": []}],
        "parameters": [*parameters, *([model] if nested else [])],
        "requestBody": _body(),
        "responses": _answers(
            success,
            _json(shape),
            _400="A bad parameter or picture.",
            _415="A body of another type.",
        )
        | {"401": _KEY_REFUSED},
    }


_KEY_REFUSED = {
    "description": "No key, or a wrong one.",
    "content": _json({"$ref": "#/components/schemas/AzureError"}),
}


def _thumbnail(number: str) -> Json:
    side = {"type": "integer", "minimum": 1, "maximum": vision.LONGEST_SIDE}
    parameters = [
        _parameter("width", side, "In pixels.", required=True),
        _parameter("height", side, "In pixels.", required=True),
        _parameter("smartCropping", {"type": "boolean", "default": False}, "Keep the subject."),
    ]
    return _vision(number, "generateThumbnail", parameters, _PICTURE)


def _area(number: str) -> Json:
    shape = {"$ref": "#/components/schemas/AreaOfInterest"}
    success = {"description": "Where the subject is.", "content": _json(shape)}
    return _vision(number, "areaOfInterest", [], success)


def _analyze() -> Json:
    return {
        "tags": ["Azure Image Analysis"],
        "summary": "Smart crops",
        "operationId": "analyze",
        "security": [{"subscriptionKey": []}],
        "parameters": [
            _parameter(
                "api-version", {"enum": list(analysis.VERSIONS)}, "All alike.", required=True
            ),
            _parameter("features", {"enum": ["smartCrops"]}, "This one alone.", required=True),
            _parameter(
                "smartcrops-aspect-ratios",
                {"type": "string", "examples": ["0.75,1.0,1.5"]},
                f"Width over height, each from {analysis.LEAST_RATIO} to "
                f"{analysis.MOST_RATIO}, divided by commas, {analysis.MOST_RATIOS} at "
                "most. Left out: one crop of the subject's own ratio.",
            ),
            _parameter("model-version", {"enum": ["latest"]}, "Of no effect."),
        ],
        "requestBody": _body(),
        "responses": _answers(
            {
                "description": "A box for each ratio.",
                "content": _json({"$ref": "#/components/schemas/SmartCrops"}),
            },
            _json({"$ref": "#/components/schemas/AzureError"}),
            _400="A bad parameter or picture.",
            _401="No key, or a wrong one.",
        ),
    }


def _transform() -> Json:
    later = {"description": "The result will be sent to the webhook.", "content": _json(_TEXT_OR)}
    return {
        "tags": ["Iteration Layer"],
        "summary": "A file and operations in, base64 out",
        "operationId": "transform",
        "security": [{"bearer": []}],
        "requestBody": {
            "required": True,
            "content": _json({"$ref": "#/components/schemas/TransformRequest"}),
        },
        "responses": _answers(
            {
                "description": "The result.",
                "content": _json({"$ref": "#/components/schemas/TransformResult"}),
            },
            _json({"$ref": "#/components/schemas/TransformError"}),
            _400="What the JSON alone tells.",
            _401="No key, or a wrong one.",
            _413="The file or the body is too large.",
            _422="It cannot be done with this file.",
            _503="Too much is waiting.",
        )
        | {"201": later},
    }


def _health(path: str) -> Json:
    shape = {"type": "object", "properties": {"status": _TEXT}, "required": ["status"]}
    answer = {"description": "How it stands.", "content": _json(shape)}
    return {
        "tags": ["Operator"],
        "summary": path.rpartition("/")[2].capitalize(),
        "operationId": f"health_{path.rpartition('/')[2]}",
        "responses": {"200": answer, "default": answer},
    }


def _object(required: list[str] | None = None, /, **properties: Json) -> Json:
    about: Json = {"type": "object", "properties": properties}
    return about | {"required": list(properties) if required is None else required}


_TEXT_OR = _object(
    ["success", "async", "message"],
    success={"const": True},
    message=_TEXT,
    **{"async": {"const": True}},
)
_BOX = _object(x=_INTEGER, y=_INTEGER, w=_INTEGER, h=_INTEGER)
_INNER = _object(code=_TEXT, message=_TEXT)

_SCHEMAS: Json = {
    "Problem": _object(
        ["type", "title", "status", "detail", "instance"],
        type=_TEXT,
        title=_TEXT,
        status=_INTEGER,
        detail=_TEXT,
        instance=_TEXT,
        operation=_INTEGER,
        field=_TEXT,
    ),
    "ImageUrl": _object(url={"type": "string", "format": "uri"}),
    "AzureError": _object(
        error=_object(["code", "message"], code=_TEXT, message=_TEXT, innererror=_INNER)
    ),
    "AzureFlatError": {
        "anyOf": [
            _object(code=_TEXT, requestId=_TEXT, message=_TEXT),
            {"$ref": "#/components/schemas/AzureError"},
        ]
    },
    "AreaOfInterest": _object(
        ["areaOfInterest", "requestId", "metadata"],
        areaOfInterest=_BOX,
        requestId={"type": "string", "format": "uuid"},
        metadata=_object(width=_INTEGER, height=_INTEGER, format=_TEXT),
        modelVersion=_TEXT,
    ),
    "SmartCrops": _object(
        modelVersion=_TEXT,
        metadata=_object(width=_INTEGER, height=_INTEGER),
        smartCropsResult=_object(
            values={
                "type": "array",
                "minItems": 1,
                "items": _object(aspectRatio={"type": "number"}, boundingBox=_BOX),
            }
        ),
    ),
    "TransformRequest": _object(
        ["file", "operations"],
        file=_object(
            [],
            type={"enum": ["url", "base64"]},
            name=_TEXT,
            url={"type": "string", "format": "uri"},
            base64={"type": "string", "contentEncoding": "base64"},
            fetch_options={"type": "object"},
        ),
        operations={"type": "array", "minItems": 1, "maxItems": 30, "items": {"$ref": _OPERATION}},
        webhook_url={"type": "string", "format": "uri", "pattern": "^https://"},
    ),
    "TransformResult": _object(
        success={"const": True},
        data=_object(buffer={"type": "string", "contentEncoding": "base64"}, mime_type=_TEXT),
    ),
    "TransformError": _object(
        ["success", "error", "code"],
        success={"const": False},
        error=_TEXT,
        code=_TEXT,
        details={"type": "object"},
    ),
}
