"""The web page and the JSON API over an engine: what may come in, and what goes out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from covidnet.__version__ import __version__
from covidnet.errors import DivergedError
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.inference.predictions import as_json
from covidnet.inference.predictor import Predictor
from covidnet.serving.batching import FullError
from covidnet.serving.engine import Engine, Heats
from covidnet.serving.heads import foreign
from covidnet.serving.limits import Limits, TooLargeError
from covidnet.serving.page import render
from covidnet.serving.room import Room
from covidnet.serving.samples import Sample, draw_samples
from covidnet.serving.uploads import FORM, refused_by_head, unwrapped

BODIES = 16  # uploads of the largest size that memory is held for; together they may be no larger
LINGER = 2  # times the largest size that is read of a body, so that its sender hears that it is too large
HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
CLOSE = {"Connection": "close"}  # what is left of a body is not waited for
KINDS = ("application/octet-stream", "image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp")
WANTED: dict[str, Heats] = {"false": "none", "true": "predicted", "all": "all"}


class ModelInfo(BaseModel):
    """The model that answers."""

    name: str
    version: str | None = Field(description="Of covidnet, when the model was trained")
    classes: list[str]
    checkpoint: str = Field(description="The name of the file")


class Answer(BaseModel):
    """What the model says of an image."""

    predicted: str = Field(description="The most probable class")
    probabilities: dict[str, float] = Field(description="Of each class: softmax of the logits")
    calibrated: dict[str, float] | None = Field(description="Of each class, after temperature scaling; null if unknown")
    prediction_set: list[str] | None = Field(description="The classes that cannot be ruled out; null if unknown")
    coverage: float | None = Field(description="The share of each class's images whose set holds their class")
    novelty: float | None = Field(description="How unlike the training images it is; above 1 is unfamiliar")
    unfamiliar: bool | None = Field(description="Whether the image does not look like the training images")
    decision: str | None = Field(description="What it is called by the threshold that is kept; null where none is")
    decision_rule: str | None = Field(description="That threshold, in a sentence")
    disagreement: float | None = Field(
        None, description="How far the members of an ensemble disagree, in nats; not there of a single model"
    )
    warnings: list[str] = Field(description="What must be known beside the numbers, in sentences")
    notice: str
    model: ModelInfo
    heat: dict[str, str | None] | None = Field(
        description="Grad-CAM of each class asked for, a PNG as data URI, to be stretched over the whole image; "
        "null where nothing speaks for the class"
    )
    image: str | None = Field(description="The image as it was decoded, a PNG as data URI")


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ok"]
    version: str
    model: str
    under_way: int = Field(description="Requests at this moment")


class Refusal(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="A sentence")


REFUSALS: dict[int | str, dict[str, Any]] = {
    403: {"model": Refusal, "description": "Another web page asks"},
    408: {"model": Refusal, "description": "The upload came too slowly"},
    413: {"model": Refusal, "description": "Too many bytes or pixels"},
    415: {"model": Refusal, "description": "Sent in a way that is not taken; the sentence tells how to send"},
    422: {"model": Refusal, "description": "The file gives no image"},
    503: {"model": Refusal, "description": "Too many requests at once; try again"},
}
BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself: PNG, JPEG, TIFF, WEBP, BMP or DICOM, with whatever content type; or a form "
        "whose one part is the file, under any name",
        "content": {
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in (*KINDS, "application/dicom")},
            FORM: {"schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}},
        },
    }
}

ASKED: dict[str, Any] = {
    "responses": REFUSALS,
    "openapi_extra": BODY,
    "summary": "Look at an image",
    "response_model_exclude_unset": True,  # a single model has no disagreement
}


def build_app(engine: Engine, limits: Limits, hosts: list[str], room: Room) -> FastAPI:
    """Return the app; it closes the engine when it ends.

    Args:
        engine: What answers.
        limits: What a client may ask.
        hosts: Names that a request may call this server by; ``["*"]`` for any.
        room: Its connections.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {"room": room, "limits": limits}  # for the protocol
        await asyncio.to_thread(engine.close)

    app = FastAPI(
        title="covidnet",
        version=__version__,
        description=f"What a chest X-ray classifier says of an image. {engine.predictor.notice}",
        docs_url=None,  # that page would load its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    gate = Gate(limits, room)
    app.add_middleware(UnderWay, gate=gate)
    app.add_middleware(SafeHeaders)  # around all
    app.add_exception_handler(RequestValidationError, _plain)
    predictor = engine.predictor
    model = _described(predictor)

    @app.post("/predict", **ASKED)
    async def predict(
        request: Request,
        heat: Annotated[
            Literal["false", "true", "all"],
            Query(description="Grad-CAM of the class that it is called, or of all"),
        ] = "false",
        image: Annotated[bool, Query(description="Send the image back as it was decoded")] = False,
    ) -> Answer:
        if foreign(request.headers):
            raise HTTPException(403, "Pages of other sites may not use this server.")
        async with gate.body(request) as content:
            try:
                found = await engine.find(content, WANTED[heat], shown=image)
            except UnreadableImageError as error:
                status = 413 if isinstance(error, TooLargeError) else 422
                raise HTTPException(status, f"This file {str(error).rstrip('.')}.") from None
            except DivergedError as error:
                raise HTTPException(422, str(error)) from None
            except FullError:
                raise busy() from None
        return Answer(
            **as_json(found.prediction),
            coverage=predictor.coverage,
            decision_rule=predictor.decision.sentence if predictor.decision else None,
            warnings=found.warnings,
            notice=predictor.notice,
            model=model,
            heat=found.heats,
            image=found.picture,
        )

    @app.get("/health", summary="Whether the server answers")
    async def health() -> Health:
        return Health(status="ok", version=__version__, model=model.name, under_way=gate.under_way)

    samples = draw_samples()
    for name, (kind, content) in {"": ("text/html", render(engine, limits, samples)), **_files(samples)}.items():
        app.add_api_route(f"/{name}", _sends(kind, content), methods=["GET", "HEAD"], include_in_schema=False)
    return app


class Gate:
    """Lets uploads into memory: so many at once, so large, and in the time that they may take."""

    def __init__(self, limits: Limits, room: Room) -> None:
        self.limits = limits
        self.room = room
        self.under_way = 0  # counted by ``UnderWay``
        self.bytes = 0  # of uploads, and of answers that were not read yet

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """Give the file that a request brings, which counts in memory until the block ends.

        What is refused is still read to its end, if that is near, and thrown away: else its sender would learn of a
        broken connection only.

        Raises:
            HTTPException: Where it is refused.
        """
        largest = self.limits.max_bytes
        parts: list[bytes] = []
        size = held = 0
        late = self.under_way > self.limits.under_way
        refusal = refused_by_head(request.headers)
        try:
            try:
                async with asyncio.timeout(self.limits.seconds):
                    async for chunk in request.stream():
                        size += len(chunk)
                        if size > largest:
                            sentence = f"This file is too large: up to {largest / 1e6:g} MB are taken."
                            refusal = HTTPException(413, sentence, CLOSE)
                        elif refusal is None and not await self._fits(len(chunk)):
                            refusal = busy()
                        if refusal is None:
                            parts.append(chunk)
                            held += len(chunk)
                            self.bytes += len(chunk)
                        elif size > LINGER * largest:
                            break
            except TimeoutError:
                sentence = f"This file did not arrive within {self.limits.seconds:g} seconds."
                raise HTTPException(408, sentence, CLOSE) from None
            except ClientDisconnect:
                raise HTTPException(400, "The connection was closed.") from None  # nobody hears it
            if late and self.under_way > self.limits.under_way and not self.room.make_way():
                refusal = refusal or busy()
            if refusal:
                raise refusal
            content = b"".join(parts)
            parts.clear()
            content = unwrapped(content, request.headers)
            yield content
        finally:
            self.bytes -= held

    async def _fits(self, size: int) -> bool:
        """Return whether there is memory for so many bytes, once those have gone who keep it for too long."""
        while self.bytes + size > BODIES * self.limits.max_bytes:
            if not self.room.make_way():
                return False
            await asyncio.sleep(0.01)  # until it has gone
        return True


class UnderWay:
    """Counts an upload as under way until its client has read the answer, or its connection is closed."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        counted = int(scope["path"] == "/predict")
        self.gate.under_way += counted
        try:
            await self.app(scope, receive, self._waiting(send))
        finally:
            self.gate.under_way -= counted

    def _waiting(self, send: Send) -> Send:
        """Return a way to send that ends when all has been sent: a server waits before each message, not after it."""

        async def send_and_wait(message: Message) -> None:
            if message["type"] != "http.response.body" or message.get("more_body"):
                await send(message)
                return
            size = len(message.get("body", b""))
            self.gate.bytes += size
            try:
                await send({**message, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                self.gate.bytes -= size

        return send_and_wait


class SafeHeaders:
    """Adds to every answer what keeps a browser from asking other servers and from keeping a copy."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def _described(predictor: Predictor) -> ModelInfo:
    return ModelInfo(
        name=predictor.recipe["name"],
        version=predictor.recipe.get("version"),
        classes=predictor.classes,
        checkpoint=predictor.checkpoint.name,
    )


def busy() -> HTTPException:
    """Return the refusal of what is too much at once."""
    return HTTPException(503, "Too many images at once; try again in a second.", {"Retry-After": "1"})


def _files(samples: Sequence[Sample]) -> dict[str, tuple[str, str | bytes]]:
    """Return the files that the page asks for: name -> (kind, content). Its style begins with that of the report."""
    report, web = resources.files("covidnet.report"), resources.files("covidnet.serving").joinpath("web")
    style = "".join(folder.joinpath("style.css").read_text(encoding="utf-8") for folder in (report, web))
    scripts = {name: web.joinpath(name).read_text(encoding="utf-8") for name in ("page.js", "several.js")}
    return {
        "style.css": ("text/css", style),
        **{name: ("text/javascript", text) for name, text in scripts.items()},
        **{f"samples/{sample.name}": ("image/png", sample.content) for sample in samples},
    }


def _sends(kind: str, content: str | bytes) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send


async def _plain(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": "heat must be false, true or all, and image true or false."}, 422)
