"""A page with one of everything that can be used in a page: for trying out actions, and for their tests."""

import json

import attrs
from quart import Response, render_template, request
from quart.typing import ResponseReturnValue

from greenroom.web.practice.home import COOKIE, Route

_MAX_NAME_CHARS = 100


@attrs.frozen
class WorkshopPages:
    """The workshop, and where its forms, its frame and its scripts lead."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """Return where they are."""
        return (
            Route("/workshop", "Forms, dialogs, a frame, downloads: one of everything.", self.workshop),
            Route("/workshop/post", "Shows what the workshop's form sent.", self.post, ("POST",)),
            Route("/workshop/frame", "The page in the workshop's frame.", self.frame),
            Route("/workshop/download", "A small text file to download.", self.download),
            Route("/workshop/echo", "JSON: what the request was.", self.echo, ("GET", "POST")),
        )

    async def workshop(self) -> ResponseReturnValue:
        """Answer with the page that has everything."""
        return await render_template("workshop.html")

    async def post(self) -> ResponseReturnValue:
        """Show what a form sent, and the names and sizes of its files."""
        form = await request.form
        files = await request.files
        sent = [(name, value) for name, value in form.items(multi=True)]
        sent += [
            (name, f"{file.filename} ({len(file.read())} bytes)")
            for name, file in files.items(multi=True)
            if file.filename
        ]
        return await render_template("workshop_posted.html", sent=sent)

    async def frame(self) -> ResponseReturnValue:
        """Answer with the page that is shown in a frame."""
        return await render_template("workshop_frame.html")

    async def download(self) -> ResponseReturnValue:
        """Answer with a file under the name that is asked for."""
        name = request.args.get("name", "notes.txt")[:_MAX_NAME_CHARS]
        response = Response(f"This is {name}.\n", content_type="text/plain; charset=utf-8")
        response.headers.set("Content-Disposition", "attachment", filename=name)
        return response

    async def echo(self) -> ResponseReturnValue:
        """Answer with the request's method, body, content type, and whether its viewer is known."""
        said = {
            "method": request.method,
            "body": await request.get_data(as_text=True),
            "content_type": request.content_type,
            "has_session": COOKIE in request.cookies,
            "user_agent": request.headers.get("User-Agent", ""),
        }
        return Response(json.dumps(said), content_type="application/json")
