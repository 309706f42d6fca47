"""An HTTP endpoint in tests that receives the messages of a topic."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from conftest import TARGET, until


class Endpoint:
    """Serves on a free port, confirms subscriptions by itself, answers with ``statuses`` in turn
    and then 200.
    """

    def __init__(self, gateway: Any) -> None:
        self.received: list[tuple[dict[str, str], str]] = []
        self.statuses: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation":
                    status = gateway.raw("GET", json.loads(body)["SubscribeURL"]).status
                else:
                    endpoint.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                    status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


def confirmed(gateway: Any, arn: str, account: str = TARGET) -> None:
    """Wait until every subscription of a topic is confirmed. MiniStack lists one under its ARN
    before it is.
    """
    client = gateway.client("sns", account)
    until(lambda: client.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsPending"] == "0", "the subscriptions are confirmed")
