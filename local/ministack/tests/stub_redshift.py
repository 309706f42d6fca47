"""A stub of sluice-redshift: it keeps clusters, groups, namespaces and workgroups in memory and
records its requests.
"""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


class StubRedshift:
    """Serves seam 1 on a free port; ``requests`` and ``events`` have everything received."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        # What a test has it answer instead, by action.
        self.answers: dict[str, dict[str, Any]] = {}
        self.faults: dict[str, str] = {}
        self.clusters: dict[str, dict[str, str]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.things: dict[tuple[str, str], dict[str, Any]] = {}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path == "/internal/s3-event":
                    stub.events.append(json.loads(body))
                    self._send(204, "", b"")
                    return
                service = self.path.removeprefix("/aws/")
                if service == "redshift":
                    form = dict(parse_qsl(body.decode()))
                    action: str = form["Action"]
                    stub.requests.append({"service": service, "action": action, "request": form, "headers": dict(self.headers)})
                    status, inner = stub.query(action, form, self.headers)
                    name = f"{action}Response"
                    text = f'<{name} xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"><{action}Result>{inner}</{action}Result></{name}>'
                    if status >= 300:
                        text = inner
                    self._send(status, "text/xml", text.encode())
                    return
                action = self.headers["X-Amz-Target"].rsplit(".", 1)[-1]
                request = json.loads(body or b"{}")
                stub.requests.append({"service": service, "action": action, "request": request, "headers": dict(self.headers)})
                status, answer = stub.json(service, action, request, self.headers)
                self._send(status, "application/x-amz-json-1.1", json.dumps(answer).encode())

            def _send(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                if content_type:
                    self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> StubRedshift:
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _fault(code: str, message: str, status: int = 404) -> tuple[int, str]:
        return status, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"

    def query(self, action: str, form: dict[str, str], headers: Any) -> tuple[int, str]:
        name = form.get("ClusterIdentifier", "")
        if action in self.faults:
            return self._fault(self.faults[action], "as ordered", 400)
        if action == "EnableLogging" or "FinalClusterSnapshotIdentifier" in form:
            return self._fault("UnsupportedOperation", "not imitated", 400)
        if action == "CreateCluster":
            self.clusters[name] = {**form, "_namespace": f"arn:aws:redshift:{headers['x-sluice-region']}:{headers['x-sluice-account']}"
                                                         f":namespace:{uuid.uuid4()}", "_seen": "0"}
            return 200, self._cluster(name)
        if action in ("DescribeClusters", "DeleteCluster", "ModifyCluster"):
            if name and name not in self.clusters:
                return self._fault("ClusterNotFound", f"Cluster {name} not found.")
            if action == "DeleteCluster":
                del self.clusters[name]
                return 200, ""
            found = [name] if name else list(self.clusters)
            for one in found:
                self.clusters[one]["_seen"] = str(int(self.clusters[one]["_seen"]) + 1)
            return 200, "<Clusters>" + "".join(self._cluster(one) for one in found) + "</Clusters>"
        if action.startswith("Create") and action.endswith("Group"):
            self.groups[form.get("ClusterSubnetGroupName") or form["ParameterGroupName"]] = form
        if action.startswith("Delete") and action.endswith("Group"):
            self.groups.pop(form.get("ClusterSubnetGroupName") or form["ParameterGroupName"], None)
        return 200, ""

    def _cluster(self, name: str) -> str:
        cluster = self.clusters[name]
        # Not available in the first response, so that the resource type has to wait.
        status = "available" if int(cluster["_seen"]) > 1 else "creating"
        return (f"<Cluster><ClusterIdentifier>{name}</ClusterIdentifier><ClusterStatus>{status}</ClusterStatus>"
                f"<DBName>{cluster.get('DBName', 'dev')}</DBName><Endpoint><Address>{name}.local</Address><Port>5439</Port></Endpoint>"
                f"<ClusterNamespaceArn>{cluster['_namespace']}</ClusterNamespaceArn></Cluster>")

    def json(self, service: str, action: str, request: dict[str, Any], headers: Any) -> tuple[int, dict[str, Any]]:
        if action in self.answers:
            return 200, self.answers[action]
        if service == "redshift-data":
            return 200, {"Id": str(uuid.uuid4())}
        kind = "workgroup" if "Workgroup" in action else "namespace"
        name = str(request.get(f"{kind}Name", ""))
        if action.startswith("Create"):
            identifier = str(uuid.uuid4())
            self.things[kind, name] = {
                **request, "status": "AVAILABLE", f"{kind}Id": identifier,
                f"{kind}Arn": f"arn:aws:redshift-serverless:{headers['x-sluice-region']}:{headers['x-sluice-account']}:{kind}/{identifier}",
                **({"endpoint": {"address": f"{name}.local", "port": 5439}} if kind == "workgroup" else {})}
        if (kind, name) not in self.things:
            return 404, {"__type": "ResourceNotFoundException", "message": f"{kind} {name} does not exist."}
        found = self.things[kind, name]
        if action.startswith("Delete"):
            del self.things[kind, name]
        return 200, {kind: found}
