"""Odd requests to `covidnet serve`: heads, bodies, forms and their framing, through a socket."""

import atexit
import gzip
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

from bench.fuzz.images import images
from bench.fuzz.pieces import PNGS
from bench.fuzz.running import expect
from bench.fuzz.trained import trained
from covidnet.inference.predictor import Predictor
from covidnet.serving.app import LINGER, Gate
from covidnet.serving.engine import Engine
from covidnet.serving.limits import Limits
from covidnet.serving.server import LOOPBACK, listen, make_server

LIMITS = Limits(max_bytes=200_000, seconds=0.3)  # a body that lacks some bytes is told of soon
PATIENCE = 20.0  # seconds for the answer to a whole request
MOMENT = 0.4  # seconds for an answer to what is no whole request: longer than a body may take
BUSY = 503
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n", re.DOTALL)

# fmt: off
METHODS = st.sampled_from(
    ["POST"] * 8 + ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "post", "X", "", "G\0T"]
)
TARGETS = st.sampled_from(
    ["/predict"] * 6 + [
        "/predict?heat=true", "/predict?heat=all&image=true", "/predict?heat=x", "/predict?image=2",
        "/predict?" + "a" * 999, "/", "/health", "/style.css", "/page.js", "/openapi.json", "/docs",
        "//", "/%00", "/%", "/../../etc/passwd",
        "/predict/", "*", "http://x/", "predict", "", "/é", "/predict?heat=true&heat=all", "/predict#x", "/a b",
    ]
)
FIELDS = {
    "Host": ["localhost", "127.0.0.1", "localhost:1", "evil.example", "", "localhost, x", "[::1]", "[", "a" * 300],
    "Content-Type": [
        "image/png", "application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain",
        'multipart/form-data; boundary="x', "multipart/form-data; boundary=" + "a" * 100, "", "\xff",
        "application/x-www-form-urlencoded", "multipart/form-data; boundary=x; boundary=y",
        "MULTIPART/FORM-DATA;BOUNDARY=x",
    ],
    "Content-Encoding": ["gzip", "identity", "br", "gzip, gzip", "deflate", ""],
    "Origin": ["http://localhost", "http://evil.example", "null", "", "http://localhost:99999", "x"],
    "Sec-Fetch-Site": ["same-origin", "cross-site", "none", "x", ""],
    "Expect": ["100-continue", "x"],
    "Connection": ["close", "keep-alive", "Upgrade", "x"],
    "Upgrade": ["websocket", "h2c"],
    "Content-Length": ["0", "5", "-1", "+5", "5, 5", "0x5", "1" * 30, "", " 5", "99999999999"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "chunked, chunked", "identity", "", " chunked", "x"],
    "Accept": ["text/html", "*/*"], "Range": ["bytes=0-1"], "Cookie": ["a=b"],
    "X": ["", "a" * 9_000, "é", "\t", "a\0b"],
    "Authorization": ["Basic x"], "X-Forwarded-For": ["1.2.3.4"], "": ["x"], "a b": ["x"], "\x01": ["x"],
}
# fmt: on
fields = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(FIELDS[name]))),
    max_size=4,
)


@dataclass(frozen=True)
class Asked:
    """What is sent, in pieces; ``whole`` where it is a request that has to be answered."""

    pieces: list[bytes]
    whole: bool


class Served:
    """A server of the trained model in this process, and what it has logged of its own faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        engine = Engine(Predictor(trained() / "run"), batch_size=8, waiting=64, max_pixels=1_000_000)
        listener = listen("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        server = make_server(engine, LIMITS, list(LOOPBACK), "ready")
        self.gate: Gate = next(one.kwargs["gate"] for one in server.config.app.user_middleware if "gate" in one.kwargs)
        threading.Thread(target=server.run, args=([listener],), daemon=True).start()
        atexit.register(lambda: setattr(server, "should_exit", True))
        handler = logging.Handler(logging.ERROR)
        handler.emit = lambda record: self.faults.append(logging.Formatter().format(record))  # type: ignore[method-assign]
        for name in ("asyncio", "uvicorn.error"):
            logging.getLogger(name).handlers = [handler]
            logging.getLogger(name).propagate = False

    def ask(self, asked: Asked) -> bytes:
        """Return all that is answered."""
        found = b""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as client:
            try:
                for piece in asked.pieces:
                    client.sendall(piece)
                client.settimeout(PATIENCE if asked.whole else MOMENT)
                while not (asked.whole and _is_whole(found)) and (piece := client.recv(2**16)):
                    found += piece
            except TimeoutError:
                expect(not asked.whole, "a whole request without an answer")
            except (ConnectionError, BrokenPipeError):
                pass
        return found


@cache
def served() -> Served:
    """Return the one server of this process."""
    return Served()


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer has come to its end, by its length; one to HEAD has no body, and its connection goes."""
    head = _ANSWER.match(answer)
    length = re.search(rb"content-length: (\d+)", head[2], re.IGNORECASE) if head else None
    return bool(head and length and len(answer) >= head.end() + int(length[1]))


def _chunked(body: bytes, sizes: list[int], end: bytes) -> bytes:
    """Return a body in chunks of these sizes and then the rest."""
    packed, at = b"", 0
    for size in [*sizes, len(body)]:
        part = body[at : at + size]
        at += len(part)
        packed += b"%x\r\n%s\r\n" % (len(part), part) if part else b""
    return packed + end


def _form(body: bytes, more: str) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    other = {"two": head + b"x\r\n", "open": b"", "nested": b"--x\r\n"}.get(more, b"")
    return other + head + body + (b"" if more == "open" else b"\r\n--x--\r\n")


WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "itself": lambda body: body,
    "a form": lambda body: _form(body, ""),
    "a form of two": lambda body: _form(body, "two"),
    "an open form": lambda body: _form(body, "open"),
    "a form in a form": lambda body: _form(_form(body, ""), "nested"),
    "gzip": gzip.compress,
    "a bomb": lambda body: gzip.compress(bytes(10**7)),
    "JSON": lambda body: json.dumps({"image": body.hex()}).encode(),
    "deep JSON": lambda body: b"[" * 50_000,
    "too much": lambda body: bytes(LIMITS.max_bytes + 1),
    "far too much": lambda body: bytes(4 * LIMITS.max_bytes),
}


ENDS = [b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"-1\r\n\r\n", b"fffffffff\r\n"]  # of chunks


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    """Draw a request: near to a right one, or with an odd head, an odd body or odd framing."""
    kind = draw(st.sampled_from(["body", "body", "head", "framing", "bytes"]))
    method, target = ("POST", "/predict") if kind == "body" else (draw(METHODS), draw(TARGETS))
    body = draw(images() | st.sampled_from(PNGS) | st.binary(max_size=40))[: LIMITS.max_bytes]
    body = WRAPPED[draw(st.sampled_from(["itself", "itself", "itself", *WRAPPED]))](body)
    lines = [] if kind == "body" and draw(st.booleans()) else draw(fields)
    named = {name.lower() for name, _ in lines}
    framing = draw(st.sampled_from(["length", "chunks"]))
    content = body
    if framing == "chunks":
        end = draw(
            st.sampled_from([b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"-1\r\n\r\n", b"fffffffff\r\n"])
        )
        content = _chunked(body, draw(st.lists(st.integers(0, 50), max_size=3)), end)
    own = {"length": ("Content-Length", str(len(body))), "chunks": ("Transfer-Encoding", "chunked")}[framing]
    lines = [*([] if "host" in named else [("Host", "localhost")]), own, *lines]
    version = draw(st.sampled_from(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "", "HTTP/1.1 x"]))
    sent = bytearray(f"{method} {target} {version}\r\n".encode("utf-8", "surrogateescape"))
    sent += b"".join(f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in lines) + b"\r\n"
    head = len(sent)
    sent += content
    damage = draw(st.integers(1, 6)) if kind == "bytes" else 0
    for _ in range(damage):
        at = draw(st.integers(0, head - 1))
        sent[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    plain = kind == "body" and not named & {"content-length", "transfer-encoding", "expect", "", "a b", "\x01"}
    plain = plain and len(body) <= LINGER * LIMITS.max_bytes  # of more the connection is cut, and an answer may be lost
    whole = plain and version in ("HTTP/1.1", "HTTP/1.0") and (framing == "length" or b"0\r\n" in content[-12:])
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=2)))
    pieces = [bytes(sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    if draw(st.integers(0, 9)) == 0:
        pieces.append(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return Asked(pieces, whole)


def ask(asked: Asked) -> None:
    """Send a request; what is answered is no fault of the server, and nothing is left of it."""
    server = served()
    answer = server.ask(asked)
    statuses = [int(found[1]) for found in _ANSWER.finditer(answer)]
    expect(not answer or bool(_ANSWER.match(answer)), "an answer that is no HTTP")
    expect(all(100 <= status < 500 or status == BUSY for status in statuses), f"status {statuses}")
    expect(bool(statuses) or not asked.whole, "a whole request without an answer")
    faults, server.faults[:] = "\n".join(server.faults), []
    expect(not faults, f"a fault of the server: {faults}")
    _is_idle(server)


def _is_idle(server: Served) -> None:
    end = time.monotonic() + PATIENCE
    while server.gate.under_way or server.gate.bytes:
        expect(time.monotonic() < end, "a request that is kept for ever")
        time.sleep(0.001)
