"""Forced interleavings."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from conftest import Gateway, until


def document(sid: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": sid, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::gw-held/*"}]})


def hold(gateway: Gateway, **what: Any) -> int:
    status, answer = gateway.call("POST", "hold", what)
    assert status == 200, answer
    return int(answer["hold"])


def test_held_reader_overwrites_a_concurrent_write(gateway: Gateway) -> None:
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket="gw-held")
    s3.put_bucket_policy(Bucket="gw-held", Policy=document("first"))
    number = hold(gateway, action="s3:GetBucketPolicy", resource="arn:aws:s3:::gw-held", phase="after")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: gateway.client("s3").get_bucket_policy(Bucket="gw-held")["Policy"])
        state = gateway.call("GET", f"hold/{number}?wait=10")[1]
        assert state["state"] == "caught"
        assert state["caught"]["action"] == "s3:GetBucketPolicy"
        s3.put_bucket_policy(Bucket="gw-held", Policy=document("foreign"))
        assert not reading.done()
        assert gateway.call("POST", f"hold/{number}/release")[0] == 200
        assert "first" in reading.result(10)
    assert "foreign" in s3.get_bucket_policy(Bucket="gw-held")["Policy"]


def test_a_request_held_before_it_is_served_has_not_happened_yet(gateway: Gateway) -> None:
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket="gw-held-before")
    number = hold(gateway, action="s3:PutObject", resource="arn:aws:s3:::gw-held-before/*", skip=1)
    s3.put_object(Bucket="gw-held-before", Key="passes", Body=b"")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: gateway.client("s3").put_object(Bucket="gw-held-before", Key="held", Body=b""))
        assert gateway.call("GET", f"hold/{number}?wait=10")[1]["state"] == "caught"
        assert [one["Key"] for one in s3.list_objects_v2(Bucket="gw-held-before")["Contents"]] == ["passes"]
        gateway.call("POST", f"hold/{number}/release")
        writing.result(10)
    assert s3.list_objects_v2(Bucket="gw-held-before")["KeyCount"] == 2


def test_a_redshift_request_is_held_by_its_action_and_principal(gateway: Gateway) -> None:
    role = gateway.role("gw-held-role", [{"Effect": "Allow", "Action": "redshift:*", "Resource": "*"}])
    number = hold(gateway, action="redshift:PutResourcePolicy", principal="*gw-held-role*")
    arn = "arn:aws:redshift:us-east-1:222222222222:namespace:n"
    gateway.client("redshift").put_resource_policy(ResourceArn=arn, Policy="{}")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: gateway.as_role("redshift", role).put_resource_policy(ResourceArn=arn, Policy="{}"))
        assert gateway.call("GET", f"hold/{number}?wait=10")[1]["caught"]["resource"] == arn
        gateway.call("DELETE", "holds")
        writing.result(10)


def test_a_hold_that_nobody_releases_ends_by_itself(gateway: Gateway) -> None:
    s3 = gateway.client("s3")
    s3.create_bucket(Bucket="gw-held-long")
    number = hold(gateway, action="s3:ListBucket", resource="*gw-held-long", seconds=0.2)
    assert s3.list_objects_v2(Bucket="gw-held-long")["KeyCount"] == 0
    assert until(lambda: gateway.call("GET", f"hold/{number}")[1]["state"] == "released", "the hold ends")
