"""Connections that mean no good, many at once: each kind keeps a server waiting in its own way."""

import errno
import io
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

import numpy as np
from PIL import Image

ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /predict?image=true&heat=all HTTP/1.1\r\nHost: localhost\r\n"
EACH = 0.002  # seconds between two steps of an attack


def _noise() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


NOISE = _noise()


class Client(socket.socket):
    """A connection that never waits."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # an unread answer stays with its server
        self.settimeout(2)
        self.connect(("127.0.0.1", port))
        self.setblocking(False)

    def say(self, content: bytes) -> None:
        """Send what the other side takes at once."""
        with suppress(BlockingIOError):
            self.send(content)


def nothing(client: Client, step: int) -> None:
    """Connect, and wait."""


def dripped_head(client: Client, step: int) -> None:
    """A head that never ends."""
    client.say(ASK[:-2] if step == 0 else b"X: a\r\n")


def further_byte(client: Client, step: int) -> None:
    """A whole request, and once it is answered one byte more."""
    client.say((ASK, b"G", b"")[min(step, 2)])


def dripped_body(client: Client, step: int) -> None:
    """A body that never ends."""
    client.say(POST + b"Content-Length: 1000000\r\n\r\n" if step == 0 else b"a")


def large_body_that_stops(client: Client, step: int) -> None:
    """A body of megabytes whose last byte never comes."""
    client.say(POST + b"Content-Length: 30000000\r\n\r\n" + bytes(200_000) if step == 0 else bytes(200_000))


def dripped_chunks(client: Client, step: int) -> None:
    """Chunks of a byte."""
    client.say(POST + b"Transfer-Encoding: chunked\r\n\r\n" if step == 0 else b"1\r\na\r\n")


def half_closed(client: Client, step: int) -> None:
    """A head whose sender says that no more will come."""
    if step == 0:
        client.say(POST + b"Content-Length: 1000000\r\n\r\n")
        client.shutdown(socket.SHUT_WR)


def unread_answers(client: Client, step: int) -> None:
    """Questions with large answers, which nobody reads."""
    if step == 0:
        client.say(POST + b"Content-Length: %d\r\n\r\n" % len(NOISE) + NOISE)


def pipelined(client: Client, step: int) -> None:
    """Questions on questions, whose answers nobody reads."""
    client.say(ASK * 200)


def comes_and_goes(client: Client, step: int) -> None:
    """A question whose sender does not wait for the answer."""
    client.say(ASK)
    client.close()


ATTACKS: dict[str, Callable[[Client, int], None]] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        *(nothing, dripped_head, further_byte, dripped_body, large_body_that_stops, dripped_chunks, half_closed),
        *(unread_answers, pipelined, comes_and_goes),
    )
}


@contextmanager
def attacked(port: int, name: str | None, number: int) -> Iterator[None]:
    """Keep so many connections of a kind busy meanwhile, each opened again where it was closed; None is no attack."""
    if name is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, number + 200), hard), hard))
    over = threading.Event()
    thread = threading.Thread(target=_attack, args=(port, ATTACKS[name], number, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _attack(port: int, attack: Callable[[Client, int], None], number: int, over: threading.Event) -> None:
    clients: list[tuple[Client, int] | None] = [None] * number
    for place in cycle(range(number)):
        if over.wait(EACH):
            break
        try:
            client, step = clients[place] or (Client(port), 0)
            attack(client, step)
            clients[place] = (client, step + 1) if client.fileno() >= 0 else None
        except OSError as error:
            if error.errno == errno.EMFILE:
                raise
            if found := clients[place]:
                found[0].close()
            clients[place] = None
    for one in clients:
        if one:
            one[0].close()
