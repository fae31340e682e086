"""uvicorn's HTTP protocol and server, whose attributes our subclasses in `proxy.server` use."""

from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from proxy.compat import check, has_all, sets_all

__all__ = ["STATUS_LINE", "Config", "HttpToolsProtocol", "Server"]

_CALLBACKS = (
    *("connection_made", "data_received", "shutdown", "send_400_response"),
    *("on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete"),
    *("connection_lost", "on_response_complete"),
)
_ATTRIBUTES = (
    *("connections", "cycle", "expect_100_continue", "flow", "headers", "limit_concurrency"),
    *("loop", "parser", "server_state", "tasks", "timeout_keep_alive", "transport"),
)

check(
    "uvicorn",
    {
        "HttpToolsProtocol has the callbacks that are overridden": has_all(
            HttpToolsProtocol, _CALLBACKS
        ),
        "HttpToolsProtocol has the attributes that are used": sets_all(
            HttpToolsProtocol.__init__, _ATTRIBUTES
        ),
        "on_message_begin resets the URL": sets_all(HttpToolsProtocol.on_message_begin, ("url",)),
        "RequestResponseCycle has the state of a response": sets_all(
            RequestResponseCycle.__init__,
            ("disconnected", "message_event", "response_complete", "response_started", "transport"),
        ),
        "FlowControl has what is paused": sets_all(
            FlowControl.__init__, ("read_paused", "write_paused")
        ),
        "Server has the methods that are overridden": has_all(
            Server, ("capture_signals", "main_loop")
        ),
        "Server.startup sets the servers": sets_all(Server.startup, ("servers",)),
        "ServerState has the attributes that are used": sets_all(
            ServerState.__init__, ("connections", "default_headers", "tasks")
        ),
        "STATUS_LINE has the line of every status": STATUS_LINE.get(200) == b"HTTP/1.1 200 OK\r\n",
    },
)
