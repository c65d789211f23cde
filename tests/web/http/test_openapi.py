"""The description of the HTTP side is valid, and agrees with the real answers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from greenroom.actors.lifecycle import WatchMode
from greenroom.web.http.app import create_app
from greenroom.web.http.dashboard_routes import is_open
from greenroom.web.http.docs_page import docs_page
from greenroom.web.http.errors import CATALOGUE, NotAllowed
from greenroom.web.http.links import Link
from greenroom.web.http.openapi import describe_api
from greenroom.web.http.schemas import TikTokSessionRequest
from greenroom.web.http.who import Who
from greenroom.web.metrics.metrics import Metrics
from tests.web.http.front import ALL, Front, make_settings, open_front

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
    """It is served to everybody, as it holds nothing secret, and says whether a token is needed."""
    async with open_front(token=token) as front:
        described = (await front.client.get("/openapi.json")).json()
        page = (await front.client.get("/docs")).text
    schemes = described["components"].get("securitySchemes", {})
    assert list(schemes) == (["token", "cookie", "link"] if token else [])
    assert TOKEN not in str(described) + page
    assert ("security" in described) == bool(token)
    assert described["paths"]["/health"]["get"].get("security", []) == []


def test_page_has_every_operation_schema_and_code_and_links_lead_somewhere() -> None:
    """It is made of the description."""
    page = docs_page()
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids
    description = describe_api(with_token=True)
    assert {operation["operationId"] for _, _, operation in operations()} <= ids
    assert {f"schema-{name}" for name in description["components"]["schemas"]} <= ids
    assert {f"error-{code}" for code in CATALOGUE} <= ids
    for method, path, _ in operations():
        assert f"<code>{method.upper()} {path}</code>" in page
    assert "`" not in re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", page, flags=re.DOTALL)
    assert "Each field is a file." in page
    assert not re.search(r"<script|<style|style=|https?://(?!127\.0\.0\.1|www\.tiktok\.com)", page)


async def test_description_names_every_route_and_method() -> None:
    """It describes all routes of the app and no others."""
    async with open_front() as front:
        app = create_app(front.supervisor, make_settings(), ALL, Metrics(front.supervisor))
    real = {
        (rule.rule.replace("path:", "").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
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
    """Each code somewhere, each where its status says when to come back, with the right header."""
    components = describe_api(with_token=False)["components"]
    described = {code for name in components["responses"] for code in name.split(".")[1:]}
    assert described == CATALOGUE.keys() == components["examples"].keys()
    assert set(components["schemas"]["ErrorDetails"]["properties"]["code"]["enum"]) == described
    for name, response in components["responses"].items():
        waits = name.partition(".")[0] in {"409", "423", "429", "503"}
        assert ("Retry-After" in response["headers"]) == waits
        assert "X-Request-Id" in response["headers"]


def operations() -> Iterator[tuple[str, str, Any]]:
    """Yield each method, its path and its description, of a daemon with a token."""
    for path, methods in describe_api(with_token=True)["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_operations_say_who_may_ask() -> None:
    """Everybody, whoever has the token, or also whoever has a link, as the guards do."""
    link = Link(id="a", session_id="{session_id}", mode=WatchMode.CONTROL, expires=0, name="Ada")
    who = Who(link=link)
    for method, path, operation in operations():
        security = operation.get("security", [{"token": []}, {"cookie": []}])
        assert (security == []) == is_open(path), path
        assert ("401" in operation["responses"]) == (not is_open(path) or path == "/login"), path
        if not is_open(path):
            try:
                who.check(method.upper(), None, path)
            except NotAllowed:
                assert {"link": []} not in security, path
            else:
                assert {"link": []} in security, path


def test_every_answer_shows_its_request_and_every_body_has_an_example() -> None:
    """Only bytes have none. Each operation has a tag, a summary of one line, and a name of its own."""
    names = []
    for _method, _path, operation in operations():
        names.append(operation["operationId"])
        assert operation["tags"]
        assert "\n" not in operation["summary"]
        answers = [answer for answer in operation["responses"].values() if "$ref" not in answer]
        bodies = [operation.get("requestBody", {}), *answers]
        for answer in answers:
            assert "X-Request-Id" in answer["headers"], names[-1]
            assert answer["description"]
        for media in (media for body in bodies for media in body.get("content", {}).items()):
            is_json = media[0] == "application/json" and names[-1] != "openapi"
            assert not is_json or {"example", "examples"} & media[1].keys(), names[-1]
    assert len(set(names)) == len(names)


def examples(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each schema in a part of the description, with an example that stands beside it."""
    if isinstance(node, list):
        for value in node:
            yield from examples(value)
    if isinstance(node, dict):
        if isinstance(schema := node.get("schema"), dict):
            shown = [*([node["example"]] if "example" in node else []), *node.get("examples", {}).values()]
            for one in shown:
                yield schema, one
        for value in node.values():
            yield from examples(value)


def test_examples_are_what_the_schemas_say() -> None:
    """Of requests, answers and errors."""
    description = describe_api(with_token=True)
    count = 0
    for schema, example in examples(description):
        value = example
        if isinstance(example, dict) and "$ref" in example:
            value = description["components"]["examples"][example["$ref"].rpartition("/")[2]]["value"]
        elif isinstance(example, dict) and example.keys() == {"value"}:
            value = example["value"]
        validator = OAS31Validator(schema | {"components": description["components"]})
        assert list(validator.iter_errors(value)) == [], value
        count += 1
    assert count > 100


@pytest.fixture
async def front() -> Any:
    """A front on which sessions succeed at once."""
    async with open_front() as opened:
        yield opened


def test_creation_is_described_with_key_and_body() -> None:
    """Both are optional, and so is what to do with the profile."""
    create = describe_api(with_token=False)["paths"]["/tiktok/session"]["post"]
    key, profile, mode, asked_id = create["parameters"]
    assert (asked_id["name"], asked_id["in"]) == ("X-Request-Id", "header")
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
    assert {"401", "403", "404", "405", "413"} <= set(create["responses"])
