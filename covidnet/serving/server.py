"""The server of a page and an API: its socket, its start, its stop."""

import ipaddress
import logging
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from covidnet.errors import UserError, require
from covidnet.serving.app import build_app
from covidnet.serving.engine import Engine
from covidnet.serving.limits import Limits

HEAD_SECONDS = 10.0  # in which the first request of a connection must have begun
STOP_SECONDS = 30  # in which running requests may finish
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
        build_app(engine, limits, hosts),
        http=Protocol,  # its parser bounds the size of a request's head
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
        await super().startup(sockets)
        print(f"covidnet: {self.ready}", flush=True)


class Protocol(H11Protocol):
    """Closes a connection on which no request begins."""

    def connection_made(self, transport: object) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # as asyncio hands it on
        self.loop.call_later(HEAD_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()


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
