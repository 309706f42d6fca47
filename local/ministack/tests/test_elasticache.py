"""Users and AUTH tokens of ElastiCache on a real Redis or Valkey."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import REGION, TARGET, Gateway, until

FIRST, SECOND, THIRD = "first-password-0", "second-password-0", "third-password-0"


class Redis:
    """A server on a Unix socket alone."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        assert program, "install redis-server or valkey-server"
        self.socket = str(folder / "s")
        configuration = folder / "redis.conf"
        configuration.write_text(f"port 0\nunixsocket {self.socket}\ndir {folder}\nsave \"\"\nuser admin on >admin ~* &* +@all\n")
        self.process = subprocess.Popen([program, str(configuration)], stdout=subprocess.DEVNULL)
        until(self._serves, "Redis serves")

    def _serves(self) -> bool:
        assert self.process.poll() is None, "Redis has ended"
        try:
            return self.logs_in("admin", "admin")
        except OSError:
            return False

    def logs_in(self, user: str, password: str) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            words = [b"AUTH", user.encode(), password.encode()]
            connection.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            return connection.recv(100) == b"+OK\r\n"

    def of(self, user: str) -> list[bool]:
        return [self.logs_in(user, password) for password in (FIRST, SECOND, THIRD)]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(10)


def _bind(gateway: Gateway, arn: str, redis: Redis) -> None:
    assert gateway.call("POST", "redis-server", {"arn": arn, "socket": redis.socket, "user": "admin", "password": "admin"})[0] == 200


def _user(client: Any, name: str) -> str:
    return str(client.describe_users(UserId=name)["Users"][0]["Status"])


def _refused(call: Any, **words: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**words)
    return str(error.value.response["Error"]["Code"])


def test_user_passwords_reach_the_server_when_it_is_active(gateway: Gateway, redis: Redis) -> None:
    client = gateway.client("elasticache")
    arn = client.create_user(UserId="ec-app", UserName="app", Engine="redis", AccessString="on ~* +@all", Passwords=[FIRST])["ARN"]
    _bind(gateway, arn, redis)
    assert redis.of("app") == [True, False, False]
    mode = {"Type": "password", "Passwords": [SECOND, FIRST]}
    client.modify_user(UserId="ec-app", AuthenticationMode=mode)
    assert redis.of("app") == [True, False, False]
    assert _refused(client.modify_user, UserId="ec-app", AuthenticationMode=mode) == "InvalidUserState"
    assert [_user(client, "ec-app") for _ in range(3)] == ["modifying", "modifying", "active"]
    assert redis.of("app") == [True, True, False]
    found = client.describe_users(UserId="ec-app")["Users"][0]
    assert (found["UserName"], found["ARN"], found["Authentication"]) == ("app", arn, {"Type": "password", "PasswordCount": 2})
    for passwords in (["short"], [FIRST, SECOND, THIRD]):
        assert _refused(client.modify_user, UserId="ec-app", Passwords=passwords) == "InvalidParameterValue"


def test_a_token_is_rotated_beside_the_newest_and_set_alone(gateway: Gateway, redis: Redis) -> None:
    client = gateway.client("elasticache")
    group = client.create_replication_group(ReplicationGroupId="ec-cache", ReplicationGroupDescription="d", Engine="redis",
                                            TransitEncryptionEnabled=True, AuthToken=FIRST)["ReplicationGroup"]
    until(lambda: _group(client)["Status"] == "available", "the group is available")
    _bind(gateway, group["ARN"], redis)
    assert redis.of("default") == [True, False, False]
    early = {"ReplicationGroupId": "ec-cache", "AuthToken": FIRST, "AuthTokenUpdateStrategy": "SET", "ApplyImmediately": True}
    assert _refused(client.modify_replication_group, **early) == "InvalidParameterCombination"
    for token, strategy, status, after in (
        (SECOND, "ROTATE", "ROTATING", [True, True, False]), (THIRD, "ROTATE", "ROTATING", [False, True, True]),
        (SECOND, "SET", "SETTING", [False, True, False]),
    ):
        change = {"ReplicationGroupId": "ec-cache", "AuthToken": token, "AuthTokenUpdateStrategy": strategy, "ApplyImmediately": True}
        client.modify_replication_group(**change)
        assert _refused(client.modify_replication_group, **change) == "InvalidReplicationGroupState"
        seen = [_group(client) for _ in range(3)]
        assert [one["Status"] for one in seen] == ["modifying", "modifying", "available"]
        assert [one["PendingModifiedValues"].get("AuthTokenStatus") for one in seen] == [status, status, None]
        assert redis.of("default") == after
    for token in ("short", "with-a-slash/0123456", "é-0123456789abcdef"):
        words = {"ReplicationGroupId": "ec-cache", "AuthToken": token, "AuthTokenUpdateStrategy": "ROTATE"}
        assert _refused(client.modify_replication_group, **words) == "InvalidParameterValue"


def _group(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_replication_groups(ReplicationGroupId="ec-cache")["ReplicationGroups"][0]
    return found


def test_a_role_may_modify_the_one_user_that_its_policy_names(gateway: Gateway) -> None:
    client = gateway.client("elasticache")
    for name in ("ec-mine", "ec-other"):
        client.create_user(UserId=name, UserName=name, Engine="redis", AccessString="on ~* +@all", Passwords=[FIRST])
    resource = f"arn:aws:elasticache:{REGION}:{TARGET}:user:ec-mine"
    actions = ["elasticache:DescribeUsers", "elasticache:ModifyUser"]
    role = gateway.as_role("elasticache", gateway.role("ec-role", [{"Effect": "Allow", "Action": actions, "Resource": resource}]))
    role.modify_user(UserId="ec-mine", Passwords=[SECOND])
    assert _user(role, "ec-mine") == "modifying"
    for call in (role.modify_user, role.describe_users):
        assert "AccessDenied" in _refused(call, UserId="ec-other")


def test_a_server_is_bound_to_what_exists(gateway: Gateway) -> None:
    words = {"arn": f"arn:aws:elasticache:{REGION}:{TARGET}:user:nobody", "socket": "/nowhere", "user": "a", "password": "b"}
    assert gateway.call("POST", "redis-server", words)[0] == 404
    assert gateway.call("POST", "redis-server", {})[0] == 400
