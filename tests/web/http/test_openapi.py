"""The description of the HTTP side is valid, and agrees with the real answers."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from greenroom.actors.errors import SessionNotFound
from greenroom.web.http.app import create_app
from greenroom.web.http.openapi import describe_api
from greenroom.web.http.schemas import TikTokSessionRequest
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.front import ALL, Front, make_settings, open_front
from tests.web.http.test_errors import TABLE

TOKEN = "correct-horse-battery"


def references(node: Any) -> set[str]:
    """Return everything that a part of the description refers to."""
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*map(references, node.values()))


@pytest.mark.parametrize("with_token", [False, True])
def test_description_is_valid_and_every_reference_resolves(with_token: bool) -> None:
    """A validator finds no errors, and every reference has a target."""
    description = describe_api(with_token=with_token)
    validate(description)
    for reference in references(description):
        node = description
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    assert {"#/components/schemas/Session", "#/components/schemas/ErrorDetails"} <= references(description)


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_description_is_served_and_mentions_the_token(token: str | None) -> None:
    """It is served to callers with the token, and says that a token is needed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with open_front(token=token) as front:
        described = (await front.client.get("/openapi.json", headers=headers)).json()
    schemes = described["components"].get("securitySchemes", {})
    assert [scheme["scheme"] for scheme in schemes.values()] == (["bearer"] if token else [])
    assert ("security" in described) == bool(token)
    assert described["paths"]["/health"]["get"].get("security", []) == []


async def test_description_names_every_route_and_method() -> None:
    """It describes all routes of the app and no others."""
    async with open_front() as front:
        app = create_app(front.supervisor, make_settings(), ALL, Metrics(front.supervisor))
    real = {
        (rule.rule.replace("path:", "").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"} and rule.rule != "/openapi.json"
    }
    paths = describe_api(with_token=False)["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == real


async def test_answers_are_described_with_their_headers(front: Front) -> None:
    """Answers to good and bad requests are what the description promises."""
    description = describe_api(with_token=False)
    created = await front.create()
    path = created.headers["Location"]
    one = "/tiktok/session/{session_id}"
    answers = [
        ("/tiktok/session", created),
        ("/tiktok/session", await front.client.get("/tiktok/session")),
        ("/tiktok/session", await front.create(content=b"[]")),
        ("/tiktok/session", await front.client.post("/tiktok/session", headers={"Host": "evil.example"})),
        ("/tiktok/session", await front.create(content=b" " * 70_000)),
        (one, await front.client.get(path)),
        (one, await front.client.delete(path)),
        (one, await front.client.get("/tiktok/session/none")),
        ("/leaks", await front.client.get("/leaks")),
        ("/health", await front.client.get("/health")),
    ]
    for described, answer in answers:
        responses = description["paths"][described][answer.request.method.lower()]["responses"]
        response = responses[str(answer.status_code)]
        if "$ref" in response:
            response = description["components"]["responses"][response["$ref"].rpartition("/")[2]]
        assert set(response["headers"]) <= {name.title() for name in answer.headers}
        if "content" in response:
            schema = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            properties = description["components"]["schemas"][schema]["properties"]
            assert set(answer.json()) == set(properties)


def test_every_refusal_is_described() -> None:
    """This includes refusals by the app, refusals before the app, and Retry-After."""
    description = describe_api(with_token=False)
    described = [
        status
        for path, method in (
            ("/tiktok/session", "post"),
            ("/tiktok/session/{session_id}/actions", "post"),
            ("/tiktok/session/{session_id}/watch", "get"),
        )
        for status in description["paths"][path][method]["responses"]
    ]
    of_the_app = {str(status) for error, (status, *_) in TABLE if not isinstance(error, SessionNotFound)}
    assert of_the_app | {"400", "405", "408", "413", "431", "501", "505"} <= set(described)
    for status in ("409", "429", "503"):
        assert "Retry-After" in description["components"]["responses"][status]["headers"]


@pytest.fixture
async def front() -> Any:
    """A front on which sessions succeed at once."""
    async with open_front() as opened:
        yield opened


def test_creation_is_described_with_key_and_body() -> None:
    """Both are optional, and so is what to do with the profile."""
    create = describe_api(with_token=False)["paths"]["/tiktok/session"]["post"]
    key, profile, mode = create["parameters"]
    assert (profile["name"], profile["in"], profile["schema"]["default"]) == (
        "X-Profile",
        "header",
        "default",
    )
    assert (mode["name"], mode["in"], mode["schema"]["enum"]) == (
        "X-Profile-Mode",
        "header",
        ["read", "write"],
    )
    assert (key["name"], key["in"], key.get("required", False)) == ("Idempotency-Key", "header", False)
    assert create["requestBody"]["required"] is False
    assert TikTokSessionRequest.__name__ in str(create["requestBody"])
    assert {"401", "403", "404", "405", "413"} - set(create["responses"]) == {"404"}
