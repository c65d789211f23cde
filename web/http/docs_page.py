"""`GET /docs`: the description as a page for people. It loads nothing from elsewhere and needs no script."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import jinja2
import msgspec
from markdown_it import MarkdownIt
from markupsafe import Markup

from greenroom.web.http.error_guide import GUIDE
from greenroom.web.http.errors import CATALOGUE
from greenroom.web.http.openapi import describe_api

Json = dict[str, Any]

_TEMPLATE: Final = Path(__file__).with_name("docs.html")
_markdown: Final = MarkdownIt("commonmark", {"html": False})


@attrs.frozen(kw_only=True)
class _Body:
    """A body of a request or an answer. Without a named schema, it may have `fields` of its own."""

    title: Markup
    schema: str | None
    fields: Json | None
    examples: tuple[str, ...]


@functools.cache
def docs_page() -> str:
    """Return the page."""
    description = describe_api(with_token=True)  # the page shows nothing of what a token changes
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["json"] = _json
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        introduction=_prose(description["info"]["description"]),
        groups=[_group(tag, description) for tag in description["tags"]],
        errors=[
            {
                "status": known.status,
                "code": code,
                "retryable": "yes" if known.is_retryable else "no",
                "cause": _line(GUIDE[code].cause),
                "cure": _line(GUIDE[code].cure),
            }
            for code, known in sorted(CATALOGUE.items(), key=lambda item: (item[1].status, item[0]))
        ],
        schemas=sorted(description["components"]["schemas"].items()),
    )


def _group(tag: Json, description: Json) -> Json:
    operations = [
        _operation(method, path, operation, description["components"])
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
        if operation["tags"] == [tag["name"]]
    ]
    return {
        "id": f"group-{tag['name'].replace(' ', '-')}",
        "name": tag["name"].capitalize(),
        "description": _line(tag["description"]),
        "operations": operations,
    }


def _operation(method: str, path: str, operation: Json, components: Json) -> Json:
    bodies = list(_bodies("Request", operation.get("requestBody", {}).get("content", {})))
    codes: list[str] = []
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            refused = components["responses"][_last(answer["$ref"])]
            codes += refused["content"]["application/json"]["examples"]
        else:
            title = f"{status}: {answer['description']}"
            content = answer.get("content", {})
            empty = _Body(title=_line(title), schema=None, fields=None, examples=())
            bodies += _bodies(title, content) if content else [empty]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": _line(operation["summary"]),
        "description": _prose(operation.get("description", "")),
        "parameters": [
            {"required": False} | parameter | {"description": _line(parameter.get("description", ""))}
            for parameter in operation["parameters"]
        ],
        "bodies": bodies,
        "codes": codes,
    }


def _bodies(title: str, content: Json) -> Iterator[_Body]:
    for type_, described in content.items():
        examples = [example["value"] for example in described.get("examples", {}).values()]
        if "example" in described:
            examples.append(described["example"])
        reference = described["schema"].get("$ref")
        yield _Body(
            title=_line(f"{title} ({type_})"),
            schema=reference and _last(reference),
            fields=described["schema"] if described["schema"].get("type") == "object" else None,
            examples=tuple(
                example if isinstance(example, str) else _json(example, indent=2) for example in examples
            ),
        )


def _json(value: Any, indent: int = 0) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()


def _prose(text: str) -> Markup:
    return Markup(_markdown.render(text))  # noqa: S704  # ours, and it passes no HTML


def _line(text: str) -> Markup:
    return Markup(_markdown.renderInline(text))  # noqa: S704  # likewise


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
