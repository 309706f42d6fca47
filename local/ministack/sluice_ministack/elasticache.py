"""ElastiCache's users and AUTH tokens in front of a real Redis or Valkey.

MiniStack keeps users and replication groups, but no passwords of users, and every change of it is
done at once. Here a change takes some describe calls, further changes are rejected in the
meantime, and then it is on the server that a test has bound to the user or group with ``POST
/_sluice/redis-server`` [pages: Role-Based Access Control (RBAC), Authenticating with the Valkey and
Redis OSS AUTH command; model: ElastiCache].
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_actions
from ministack.services import elasticache

from .patching import Target, wrap

TARGETS = (
    Target("ministack.core.iam_actions", "extract_resource_arn",
           ("service", "method", "path", "headers", "body", "query_params", "region", "account_id")),
    Target("ministack.core.iam_actions", "_query_param"),
    *(Target("ministack.services.elasticache", name, ("p",)) for name in (
        "_create_user", "_describe_users", "_modify_user", "_describe_replication_groups", "_modify_replication_group")),
    Target("ministack.services.elasticache", "_rg_xml", ("rg",)),
    Target("ministack.services.elasticache", "_p", ("params", "key", "default")),
    Target("ministack.services.elasticache", "_error"),
    Target("ministack.services.elasticache", "_users"),
    Target("ministack.services.elasticache", "_replication_groups"),
)

# Number of describe calls that a change of a user or group takes.
DESCRIBE_CALLS = 2
_FORBIDDEN_IN_TOKENS = '/"@%'

Parameters = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[Parameters], Answer]


@dataclass(frozen=True)
class Server:
    """A server's socket and an administrator of its access control list."""

    socket: str
    user: str
    password: str

    def command(self, *words: str) -> None:
        """Run a command; an error of the server is raised."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(self.socket)
            for command in (("AUTH", self.user, self.password), words, ("QUIT",)):
                texts = [word.encode() for word in command]
                connection.sendall(b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts))
            answer = b""
            while part := connection.recv(4096):
                answer += part
        if answer != b"+OK\r\n" * 3:
            raise RuntimeError(f"the server at {self.socket} did not run {words[0]} {words[1]}: {answer!r}")


# ARN of a user or group -> its server.
_servers: dict[str, Server] = {}


def bind(arn: str, server: Server) -> bool:
    """Put a server behind a user or group; it gets what the service has. ``False`` if there is no
    such user or group.
    """
    for found in (*elasticache._users.values(), *elasticache._replication_groups.values()):
        if found["ARN"] == arn:
            _servers[arn] = server
            _apply(found)
            return True
    return False


def _apply(record: Parameters) -> None:
    server = _servers.get(record["ARN"])
    if server is None:
        return
    if "UserId" in record:
        passwords = record.get("_passwords", [])
        server.command("ACL", "SETUSER", record["UserName"], "reset", *record["AccessString"].split(), *(f">{text}" for text in passwords))
    else:
        tokens = record.get("_auth_tokens") or []
        rules = [f">{text}" for text in tokens] if tokens and not record.get("_auth_optional") else ["nopass"]
        server.command("ACL", "SETUSER", "default", "resetpass", *rules)


def _begin(record: Parameters, token_status: str | None = None) -> None:
    record["Status"], record["_describe_calls"] = "modifying", DESCRIBE_CALLS
    if token_status:
        record["_token_status"] = token_status


def _count_describe(record: Parameters, done: str) -> None:
    """Count one describe call of a change."""
    left = record.get("_describe_calls")
    if left is None:
        return
    if left > 0:
        record["_describe_calls"] = left - 1
        return
    _apply(record)
    record["Status"] = done
    for name in ("_describe_calls", "_token_status"):
        record.pop(name, None)


def _passwords(p: Parameters) -> list[str]:
    """The passwords of a request, in either of the two places for them."""
    found: list[str] = []
    for prefix in ("AuthenticationMode.Passwords", "Passwords"):
        while text := elasticache._p(p, f"{prefix}.member.{len(found) + 1}"):
            found.append(text)
        if found:
            break
    return found


def _wrong(passwords: list[str]) -> Answer | None:
    if len(passwords) > 2 or any(not 16 <= len(text) <= 128 for text in passwords):
        error: Answer = elasticache._error("InvalidParameterValue", "A user has one or two passwords of 16 to 128 characters.", 400)
        return error
    return None


def _keep(user: Parameters, passwords: list[str]) -> None:
    user["_passwords"] = passwords
    user["Authentication"] = {"Type": "password", "PasswordCount": len(passwords)}


def _creating_user(original: Handler) -> Handler:
    def create_user(p: Parameters) -> Answer:
        passwords = _passwords(p)
        wrong = _wrong(passwords)
        if wrong:
            return wrong
        answer = original(p)
        if answer[0] == 200 and passwords:
            _keep(elasticache._users[elasticache._p(p, "UserId")], passwords)
        return answer

    return create_user


def _describing_users(original: Handler) -> Handler:
    def describe_users(p: Parameters) -> Answer:
        wanted = elasticache._p(p, "UserId")
        for user in elasticache._users.values():
            if wanted in ("", user["UserId"]):
                _count_describe(user, "active")
        return original(p)

    return describe_users


def _modifying_user(original: Handler) -> Handler:
    def modify_user(p: Parameters) -> Answer:
        user = elasticache._users.get(elasticache._p(p, "UserId"))
        if user is None:
            return original(p)
        if user["Status"] != "active":
            error: Answer = elasticache._error("InvalidUserState", f"User {user['UserId']} is {user['Status']}.", 400)
            return error
        passwords = _passwords(p)
        wrong = _wrong(passwords)
        if wrong:
            return wrong
        if passwords:
            _keep(user, passwords)
        _begin(user)
        # Without the passwords, because MiniStack would count them again.
        return original({name: value for name, value in p.items() if not name.startswith("Passwords.")})

    return modify_user


def _describing_groups(original: Handler) -> Handler:
    def describe_replication_groups(p: Parameters) -> Answer:
        wanted = elasticache._p(p, "ReplicationGroupId")
        for group in elasticache._replication_groups.values():
            if wanted in ("", group["ReplicationGroupId"]):
                _count_describe(group, "available")
        return original(p)

    return describe_replication_groups


def _modifying_group(original: Handler) -> Handler:
    def modify_replication_group(p: Parameters) -> Answer:
        group = elasticache._replication_groups.get(elasticache._p(p, "ReplicationGroupId"))
        token = elasticache._p(p, "AuthToken")
        if group is None or not token:
            return original(p)
        if group["Status"] != "available":
            refused: Answer = elasticache._error(
                "InvalidReplicationGroupState", f"Replication group {group['ReplicationGroupId']} is {group['Status']}.", 400)
            return refused
        if not 16 <= len(token) <= 128 or not token.isascii() or not token.isprintable() or any(c in token for c in _FORBIDDEN_IN_TOKENS):
            error: Answer = elasticache._error("InvalidParameterValue", "Invalid AuthToken provided.", 400)
            return error
        if elasticache._p(p, "AuthTokenUpdateStrategy") == "SET" and len(group.get("_auth_tokens") or []) < 2:
            # "SET - allowed only after ROTATE" (botocore 1.44, ModifyReplicationGroupMessage).
            early: Answer = elasticache._error(
                "InvalidParameterCombination", "The AUTH token update strategy SET is allowed only after ROTATE.", 400)
            return early
        answer = original(p)
        if answer[0] == 200:
            _begin(group, {"SET": "SETTING"}.get(elasticache._p(p, "AuthTokenUpdateStrategy"), "ROTATING"))
        return answer

    return modify_replication_group


def _with_pending(original: Callable[[Parameters], str]) -> Callable[[Parameters], str]:
    def rg_xml(rg: Parameters) -> str:
        status = rg.get("_token_status")
        pending = f"<AuthTokenStatus>{status}</AuthTokenStatus>" if status else ""
        return f"{original(rg)}<PendingModifiedValues>{pending}</PendingModifiedValues>"

    return rg_xml


def _with_users(original: Callable[..., str]) -> Callable[..., str]:
    def extract_resource_arn(service: str, method: str, path: str, headers: Any, body: Any, query_params: Any, region: str,
                             account_id: str) -> str:
        if service == "elasticache":
            user = iam_actions._query_param(query_params, "UserId")
            if user:
                return f"arn:aws:elasticache:{region}:{account_id}:user:{user}"
        return original(service, method, path, headers, body, query_params, region, account_id)

    return extract_resource_arn


def install() -> None:
    """Let changes take time, and apply them to the servers."""
    wrap(elasticache, "_create_user", _creating_user)
    wrap(elasticache, "_describe_users", _describing_users)
    wrap(elasticache, "_modify_user", _modifying_user)
    wrap(elasticache, "_describe_replication_groups", _describing_groups)
    wrap(elasticache, "_modify_replication_group", _modifying_group)
    wrap(elasticache, "_rg_xml", _with_pending)
    wrap(iam_actions, "extract_resource_arn", _with_users)
