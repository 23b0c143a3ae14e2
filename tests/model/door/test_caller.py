"""Who is let in: the one with the token, or where there is none no web page from elsewhere."""

from __future__ import annotations

import pytest

from tests.model.door.asking import HI, post, ready
from tests.model.door.scripted_engine import ScriptedEngine


@pytest.mark.parametrize("given", [None, "Bearer wrong", "secret", "Bearer sécret"])
def test_without_the_token_nothing_is_asked_of_the_engine(given: str | None) -> None:
    engine = ScriptedEngine()
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    response = post(ready(engine), HI, token="secret", headers=headers)
    assert response.status_code == 401 and response.json()["error"]["code"] == "unauthorized"
    assert engine.asked == []
    assert (
        post(ready(engine), HI, token="secret", headers={"Authorization": "Bearer secret"}).status_code == 200
    )


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_foreign_web_page_could_post_unasked_is_refused(kind: str) -> None:
    assert post(ready(ScriptedEngine()), HI, headers={"Content-Type": kind}).status_code == 415


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example:8001", "Host": "evil.example:8001"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Host": "evil.example:8001"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "127.0.0.1:8001"}, 200),
        ({"Host": "localhost:8001"}, 200),
        ({"Host": "[::1]:8001"}, 200),
        ({"Host": "127.0.0.1:8001", "Origin": "http://localhost:3000"}, 200),
    ],
)
def test_without_a_token_a_web_page_from_elsewhere_is_refused(headers: dict[str, str], status: int) -> None:
    """Also one whose name was made to lead here (DNS rebinding), so that its requests are not foreign any more."""
    headers = {"Host": "127.0.0.1:8001", **headers}
    engine = ScriptedEngine()
    assert post(ready(engine), HI, headers=headers, loopback_only=True).status_code == status
    assert len(engine.asked) == (status == 200)
    with_token = {**headers, "Authorization": "Bearer secret"}
    assert post(ready(engine), HI, token="secret", headers=with_token, loopback_only=True).status_code == 200


def test_a_worker_for_the_network_may_be_called_by_any_name_but_not_by_a_web_page() -> None:
    assert post(ready(ScriptedEngine()), HI, headers={"Host": "gpu-box:8001"}).status_code == 200
    refused = post(ready(ScriptedEngine()), HI, headers={"Origin": "http://gpu-box:8001"})
    assert refused.status_code == 403 and refused.json()["error"]["code"] == "forbidden"
    assert "token" in refused.json()["error"]["message"]
