"""The server of a page and an API: its socket, its start, its connections and their deadlines, its stop."""

import asyncio
import errno
import ipaddress
import json
import logging
import signal
import socket
import struct
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from covidnet.errors import UserError, require
from covidnet.serving.app import build_app
from covidnet.serving.engine import Engine
from covidnet.serving.heads import StrictConnection
from covidnet.serving.limits import Limits
from covidnet.serving.room import Phase, Room

HEAD_SECONDS = 10.0  # in which the head of a connection's first request, and of each next one, must have arrived
BODY_MARGIN = 5.0  # seconds beyond those for an upload: the app tells first that it was too slow
ANSWER_SECONDS = 30.0  # in which an answer must have been read
REFUSED_SECONDS = 2.0  # in which a refusal must have been, while the rest of what is refused is thrown away
PACE = 16_000  # bytes of a body in a second (``room.GIVES_WAY``) that are no reason to make it give way
AHEAD = (
    2  # answers in a row behind which more is asked already; then the connection ends, for others to have their turn
)
ACCEPTED = 16  # connections accepted before those that must go for them have gone
QUEUE = 2_048  # connections that may wait to be accepted
UNSENT = 128_000  # bytes of an answer that the system takes; more is held here, where it is counted
FULL_SECONDS = 60.0  # between two lines on a full table of descriptors
STOP_SECONDS = 30  # in which running requests may finish
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # as asyncio has it
_AT_ONCE = struct.pack("ii", 1, 0)  # a reset, which the system does not delay for what was not read
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")  # the last as older Starlette reads it


def serve(engine: Engine, listener: socket.socket, host: str, limits: Limits) -> None:
    """Answer on a bound socket until Ctrl-C or SIGTERM; let running requests finish.

    Args:
        engine: What answers.
        listener: The socket, as ``listen`` gives it.
        host: The address as the user wrote it.
        limits: What a client may ask.
    """
    predictor = engine.predictor
    address, port = listener.getsockname()[:2]
    alone = ipaddress.ip_address(address).is_loopback
    shown = f"[{host}]" if ":" in host else host
    ready = f"http://{shown}:{port} shows {predictor.recipe['name']} at work. Ctrl-C stops it."
    server = make_server(engine, limits, [*LOOPBACK, address] if alone else ["*"], ready)
    if not alone:
        print(
            f"covidnet: --host {host} lets in whoever reaches this machine: there is no password, and images travel in "
            "the clear.",
            file=sys.stderr,
        )
    print(f"covidnet: {predictor.notice}", file=sys.stderr)
    _keep_quiet()
    with _signals_are_no_error():
        server.run([listener])


def make_server(engine: Engine, limits: Limits, hosts: list[str], ready: str) -> "Server":
    """Return the server of an engine, which says ``ready`` once it is."""
    config = uvicorn.Config(
        build_app(engine, limits, hosts, Room(min(limits.connections, most_connections()))),
        http=Protocol,  # its parser bounds the size of a request's head
        loop="asyncio",  # whose ways at a full table of descriptors are known
        backlog=ACCEPTED,
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return Server(config, ready)


class Server(uvicorn.Server):
    """A server that tells when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(Faults())
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(QUEUE)  # asyncio has made it as short as what is accepted at once
        print(f"covidnet: {self.ready}", flush=True)


class Faults:
    """Tells of a full table of descriptors in one line a minute: asyncio tells of each connection, and tries again."""

    def __init__(self) -> None:
        self.told = -FULL_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _FULL:
            loop.default_exception_handler(context)
        elif loop.time() - self.told >= FULL_SECONDS:
            self.told = loop.time()
            print(
                f"covidnet: {error.strerror}: new connections wait until others close. ulimit -n allows more.",
                file=sys.stderr,
                flush=True,
            )


class Protocol(H11Protocol):
    """Gives each head, body and answer of a connection its time, which no further bytes lengthen.

    uvicorn neither hides nor documents the insides of its protocol; a test holds those used here to exist: ``conn``,
    ``cycle`` with ``response_complete``, ``disconnected`` and ``message_event``, ``flow`` with ``write_paused``,
    ``on_response_complete`` and ``send_400_response``.
    """

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = self.strict = StrictConnection(h11.SERVER)
        self.room: Room = app_state["room"]
        self.limits: Limits = app_state["limits"]
        self.phase, self.since = Phase.WORK, time.monotonic()
        self._stage: object = None  # the phase, and of which request
        self._deadline: asyncio.TimerHandle | None = None
        self._come = 0  # bytes since ``since``
        self._ahead = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so writing is paused exactly while something is not sent yet
        if self.room.enter(self):
            self._notice()
            return
        self._say("503 Service Unavailable", "Too many connections at once; try again in a second.", "Retry-After: 1")
        transport.close()  # at once: it is not counted

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        if self._deadline:
            self._deadline.cancel()
        self._stage = self  # whatever comes now, nothing is waited for any more
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stage is self:  # it is ending
            return
        super().data_received(data)
        self._come += len(data)
        if self._come >= PACE:
            self._come, self.since = 0, time.monotonic()
        self._notice()

    def on_response_complete(self) -> None:
        self._ahead = self._ahead + 1 if self.conn.trailing_data[0] else 0
        if self._ahead > AHEAD:
            self.transport.close()
        super().on_response_complete()
        self._notice()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._notice()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._notice()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True  # what the app would still say, nobody hears
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._say("400 Bad Request", self.strict.problem)
            self._close_once_read()
        else:
            self.transport.close()

    def _say(self, status: str, sentence: str, *headers: str) -> None:
        """Say a sentence, whatever h11 makes of this connection."""
        body = json.dumps({"detail": sentence})
        kind, length = "Content-Type: application/json", f"Content-Length: {len(body)}"
        lines = [f"HTTP/1.1 {status}", kind, length, *headers, "Connection: close", "", body]
        self.transport.write("\r\n".join(lines).encode())

    def _close_once_read(self) -> None:
        """Say no more, throw away what still comes, and close when the client has, or is late.

        A connection that is closed before all that came is read is reset, and what was said may be lost.
        """
        if self._deadline:
            self._deadline.cancel()
        self._stage, self.phase, self.since = self, Phase.ANSWER, time.monotonic()
        self._deadline = self.loop.call_later(REFUSED_SECONDS, self.drop)
        self.flow.resume_reading()
        self.transport.write_eof()

    def drop(self) -> None:
        """Close at once; what was not read is thrown away, here and by the system."""
        self.phase = Phase.WORK
        if self.flow.write_paused:
            with suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def _notice(self) -> None:
        """Begin a deadline where another thing is waited for than before."""
        if self._stage is self:
            return
        phase = self._waits_for()
        stage = (phase, self.cycle)
        if stage == self._stage:
            return
        self._stage, self.phase, self.since, self._come = stage, phase, time.monotonic(), 0
        if self._deadline:
            self._deadline.cancel()
        times = {Phase.HEAD: HEAD_SECONDS, Phase.BODY: self.limits.seconds + BODY_MARGIN, Phase.ANSWER: ANSWER_SECONDS}
        self._deadline = self.loop.call_later(times[phase], self.drop) if phase in times else None

    def _waits_for(self) -> Phase:
        if self.flow.write_paused:
            return Phase.ANSWER
        if self.cycle is None or self.cycle.response_complete:
            return Phase.HEAD  # also where the rest of a body comes that nobody wants
        return Phase.BODY if self.conn.their_state is h11.SEND_BODY else Phase.WORK


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address; port 0 is any that is free.

    Raises:
        UserError: Where the address is unknown, or the port in use or forbidden.
    """
    require(0 <= port <= 65535, "--port", port, "from 0 to 65535")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host} is no address of this machine: {error.strerror}.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT)  # its connections have it from it
        if sys.platform != "win32":  # there it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(
            f"--host {host} --port {port} cannot be listened on: {error.strerror}. Give another --port."
        ) from error
    return listener


def most_connections() -> int:
    """Return how many connections may be open: half of the descriptors, the other half is for all else."""
    if sys.platform == "win32":
        return QUEUE
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return QUEUE if soft == resource.RLIM_INFINITY else max(soft // 2, 1)


def _keep_quiet() -> None:
    """Let no library tell what stands in a file: warnings quote names and values of its header."""
    warnings.simplefilter("ignore")
    for name in ("pydicom", "PIL"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _signals_are_no_error() -> Iterator[None]:
    """End with success by Ctrl-C and SIGTERM: uvicorn raises both again once it has stopped."""

    def nothing(number: int, frame: FrameType | None) -> None: ...

    before = {number: signal.signal(number, nothing) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
