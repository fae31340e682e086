"""Compare the server's responses with its OpenAPI document; schemathesis generates requests."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import KEY
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from proxy.api.openapi import openapi_document
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(openapi_document(OperationRegistry(OPERATIONS)))
CALLS = [result.ok() for result in SCHEMA.get_all_operations()]
HEADERS = {"Ocp-Apim-Subscription-Key": KEY, "Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.label)
def test_responses_match_the_document(server, call):
    @given(st.data())
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    def generated_request(data):
        case = data.draw(call.as_strategy())
        case.call_and_validate(base_url=server.url, headers=HEADERS, checks=CHECKS)

    generated_request()
