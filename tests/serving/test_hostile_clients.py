"""Facts about clients that mean no good: each attack first harms uvicorn's own protocol, then not ours."""

import base64
import contextlib
import gzip
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from itertools import chain, count, cycle, repeat

import h11
import numpy as np
import pytest
import uvicorn
from helpers import CLASSES, slow
from PIL import Image
from served import serving, train
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from covidnet.serving import server as ours
from covidnet.serving.heads import refusal
from covidnet.serving.limits import Limits
from covidnet.serving.room import Phase, Room

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets are counted in another way there")
SECONDS = 0.3  # of each deadline here
STAYS = 1.2  # seconds after which a connection that is still open has no deadline
LARGE = 3_000_000  # bytes that no socket takes at once


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def image(run):
    return (run.parents[1] / "xrays" / CLASSES[0] / f"{CLASSES[0]} (1).png").read_bytes()


@pytest.fixture(scope="module")
def served(run):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "HEAD_SECONDS", SECONDS)
        patch.setattr(ours, "BODY_MARGIN", 0.1)
        patch.setattr(ours, "ANSWER_SECONDS", SECONDS)
        with serving(run, Limits(seconds=SECONDS)) as server:
            yield server


async def plain_app(scope, receive, send):
    """Read a body and answer with many bytes, as an app does that trusts its clients."""
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    body = bytes(LARGE if scope["path"] == "/large" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def careless():
    """uvicorn as it comes, its one timeout as short as ours."""
    config = uvicorn.Config(plain_app, http=H11Protocol, ws="none", lifespan="off", log_level="critical")
    config.timeout_keep_alive = SECONDS
    server = uvicorn.Server(config)
    with ours.listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        server.port = listener.getsockname()[1]
        yield server
        server.should_exit = server.force_exit = True
        thread.join(60)


def dripped(port, whole, drips):
    """Send bytes, then few more again and again; return the seconds until the other side hung up and what it said."""
    began, heard = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.03) as client:
        try:
            client.sendall(whole)
            for drip in drips:
                if time.monotonic() - began > STAYS:
                    return None, heard
                client.sendall(drip)
                with contextlib.suppress(TimeoutError):
                    got = client.recv(100_000)
                    heard += got
                    if not got:
                        break
        except (BrokenPipeError, ConnectionResetError):
            pass
        return time.monotonic() - began, heard


ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
LENGTH = b"Content-Length: 10000\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ATTACKS = {
    "nothing": (b"", repeat(b"")),
    "a head byte by byte": (b"", [bytes([one]) for one in ASK[:-4]] + [b"a"] * 999),
    "header after header": (ASK[:-2], (b"X-%d: a\r\n" % number for number in count())),
    "one further byte": (ASK, chain([b""] * 5, [b"G"], repeat(b""))),  # once the answer is there
    "further bytes": (ASK, chain([b"GET /"], repeat(b"a"))),
    "the third request's head": (ASK * 2, chain([b"GET /"], repeat(b"a"))),
    "a body byte by byte": (POST + LENGTH, repeat(b"a")),
    "a body that stops": (POST + LENGTH + b"abc", repeat(b"")),
    "the second request's body": (ASK + POST + LENGTH, repeat(b"a")),
    "a body that was not announced": (ASK[:-2] + LENGTH, repeat(b"a")),
    "a body for nobody": (POST.replace(b"predict", b"nowhere") + LENGTH, repeat(b"a")),
    "chunks of a byte": (POST + CHUNKED, repeat(b"1\r\na\r\n")),
    "a chunk's length": (POST + CHUNKED, repeat(b"0")),
    "a chunk's extension": (POST + CHUNKED + b"1", repeat(b";a")),
    "trailers": (POST + CHUNKED + b"0\r\n", (b"X-%d: a\r\n" % number for number in count())),
    "a body that waits for 100": (POST + b"Expect: 100-continue\r\n" + LENGTH, repeat(b"")),
    "an upgrade": (ASK[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", repeat(b"a")),
}
CLOSED_BY_UVICORN = ("a chunk's length",)  # too many digits


@pytest.mark.parametrize("name", ATTACKS)
@slow
def test_a_client_that_keeps_the_server_waiting_loses_its_connection(served, careless, name):
    whole, drips = ATTACKS[name]
    drips = list(drip for drip, _ in zip(drips, range(200), strict=False))
    seconds, _ = dripped(careless.port, whole, cycle(drips) if len(drips) < 50 else drips)
    assert seconds is None or name in CLOSED_BY_UVICORN
    seconds, heard = dripped(served.port, whole, drips)
    assert seconds is not None
    assert seconds < STAYS
    assert heard.count(b"HTTP/1.1 200") == whole.count(ASK) + (name in ANSWERED)
    assert b"Traceback" not in heard
    assert served.ask("/health").json["under_way"] == 0


ANSWERED = ("a body that was not announced", "an upgrade")


def test_who_asks_for_much_at_once_does_not_get_all_of_it(served, careless):
    assert exchanged(careless.port, ASK * 50).count(b"HTTP/1.1 200") == 50
    assert exchanged(served.port, ASK * 2).count(b"HTTP/1.1 200") == 2
    assert exchanged(served.port, ASK * 50).count(b"HTTP/1.1 200") <= ours.AHEAD + 1


def test_an_honest_client_may_ask_as_long_as_it_likes(served, image):
    with contextlib.closing(client_of(served)) as client:
        end = time.monotonic() + 4 * SECONDS
        while time.monotonic() < end:
            client.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(image) + image)
            assert answer(client)[0] == 200


def client_of(served, small=False):
    client = socket.socket()
    if small:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(20)
    client.connect(("127.0.0.1", served.port))
    return client


def answer(client):
    """Read one answer; return its status and its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = client.recv(1_000)
        assert more
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        more = client.recv(100_000)
        assert more
        body += more
    return int(head.split()[1]), body


def wait_for(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def noise():
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (768, 768, 3), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def large_question(noise):
    """A request whose answer holds an image that no socket takes at once."""
    return POST.replace(b"predict", b"predict?image=true") + b"Content-Length: %d\r\n\r\n" % len(noise) + noise


def test_an_answer_that_nobody_reads_is_counted_and_thrown_away(run, careless, noise, monkeypatch):
    with contextlib.closing(client_of(careless, small=True)) as client:
        client.sendall(ASK.replace(b"health", b"large"))
        time.sleep(STAYS)
        assert len(careless.server_state.connections) == 1  # for ever
        assert not careless.server_state.tasks  # counted nowhere
    monkeypatch.setattr(ours, "ANSWER_SECONDS", 1.0)
    with serving(run) as served, contextlib.closing(client_of(served, small=True)) as client:
        client.sendall(large_question(noise))
        wait_for(lambda: b"HTTP/1.1" in client.recv(16, socket.MSG_PEEK))
        gate = served.gate
        wait_for(lambda: gate.bytes > LARGE / 2)
        assert gate.under_way == 1
        wait_for(lambda: (gate.under_way, gate.bytes) == (0, 0), 5)
        with pytest.raises((ConnectionResetError, AssertionError)):
            answer(client)


def test_an_answer_that_is_read_slowly_arrives(served, noise):
    with contextlib.closing(client_of(served, small=True)) as client:
        client.sendall(large_question(noise))
        time.sleep(SECONDS / 2)
        status, body = answer(client)
    assert status == 200
    assert json.loads(body)["image"].startswith("data:image/png")


def test_who_keeps_the_server_waiting_gives_way_to_a_whole_request(run, image, noise, monkeypatch):
    monkeypatch.setattr("covidnet.serving.room.GIVES_WAY", 0.5)
    monkeypatch.setattr(ours, "ANSWER_SECONDS", 30)
    with serving(run, Limits(under_way=2)) as served, contextlib.ExitStack() as stack:
        reader = stack.enter_context(contextlib.closing(client_of(served, small=True)))
        slow = stack.enter_context(contextlib.closing(client_of(served)))
        reader.sendall(large_question(noise))
        slow.sendall(POST + LENGTH + b"abc")
        wait_for(lambda: served.gate.under_way == 2)
        assert served.predict(image).status == 503
        wait_for(lambda: b"HTTP/1.1" in reader.recv(16, socket.MSG_PEEK))
        wait_for(lambda: served.predict(image).status == 200, 5)
        with contextlib.suppress(ConnectionResetError):
            assert slow.recv(100) == b""
        wait_for(lambda: served.predict(image).status == 200, 5)


def test_memory_that_slow_uploads_hold_is_given_back_for_others(run, image, monkeypatch):
    monkeypatch.setattr("covidnet.serving.room.GIVES_WAY", 0.3)
    monkeypatch.setattr("covidnet.serving.app.BODIES", 1)
    with serving(run, Limits(max_bytes=10_000)) as served, contextlib.closing(client_of(served)) as slow:
        slow.sendall(POST + LENGTH + bytes(9_990))
        wait_for(lambda: served.gate.bytes == 9_990)
        assert served.predict(image).status == 503
        wait_for(lambda: served.predict(image).status == 200, 5)


def test_connections_are_capped_and_newcomers_are_served(run, careless, image):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(contextlib.closing(client_of(careless))).sendall(b"G")
        wait_for(lambda: len(careless.server_state.connections) >= 40)
    with serving(run, Limits(connections=8)) as served, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(client_of(served))) for _ in range(40)]
        for number, client in enumerate(clients):
            with contextlib.suppress(OSError):
                client.sendall(b"" if number % 2 else b"G")
        assert served.predict(image).status == 200
        assert len(served.gate.room.connections) <= 8
        with contextlib.suppress(ConnectionResetError):
            assert clients[0].recv(100) == b""


class Open:
    def __init__(self, phase, since):
        self.phase, self.since = phase, since

    def drop(self):
        self.phase = Phase.WORK


def test_who_was_waited_for_longest_goes_first_and_who_is_worked_for_stays():
    room = Room(3)
    work, body, head = Open(Phase.WORK, 0), Open(Phase.BODY, 1), Open(Phase.HEAD, 2)
    assert all(room.enter(one) for one in (work, body, head))
    assert room.enter(Open(Phase.WORK, 3))
    assert (body.phase, head.phase) == (Phase.WORK, Phase.HEAD)
    assert room.enter(Open(Phase.WORK, 4))
    assert head.phase is Phase.WORK
    assert not room.enter(Open(Phase.WORK, 5))  # nobody is waited for


def test_without_room_for_another_connection_it_hears_so(run, monkeypatch):
    monkeypatch.setattr(Room, "enter", lambda self, connection: False)
    with serving(run) as served:
        reply = served.ask("/health")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json["detail"].startswith("Too many connections")


SERVE = "import sys, covidnet.serving.server as server\n{}\nfrom covidnet.commands.main import main\nmain(sys.argv[1:])"
PLAIN = """
import asyncio, sys, uvicorn
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
from covidnet.serving.server import listen
with listen("127.0.0.1", 0) as listener:
    print("x http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, http="h11", loop="asyncio", lifespan="off", log_level="error")).run([listener])
"""


@contextlib.contextmanager
def few_descriptors(number, code, *words):
    """Run a server that may open so many descriptors; yield its port and, once it has ended, what it said."""
    command = ["sh", "-c", f'ulimit -n {number}; exec "$@"', "sh", sys.executable, "-c", code, *map(str, words)]
    said = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline().split()[1].rpartition(":")[2]), said
        finally:
            process.terminate()
            said.append(process.communicate(timeout=60)[1])


def asked(port, seconds):
    """Return whether an honest client gets its answer in so many seconds."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(ASK)
        return client.recv(100).startswith(b"HTTP/1.1 200")
    return False


@contextlib.contextmanager
def crowd(port, number, content):
    """Keep so many connections open that have sent something."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(contextlib.closing(socket.socket()))
            client.settimeout(5)
            with contextlib.suppress(OSError):
                client.connect(("127.0.0.1", port))
                client.sendall(content)
        yield


@slow
def test_a_crowd_of_connections_locks_nobody_out(run):
    with few_descriptors(120, PLAIN) as (port, said):
        assert asked(port, 20)
        with crowd(port, 150, ASK + b"G"):
            time.sleep(0.5)
            assert not asked(port, 1.5)
    assert said[0].count("out of system resource") > 20
    words = "serve", run, "--port", 0, "--device", "cpu"
    with few_descriptors(120, SERVE.format(""), *words) as (port, said), crowd(port, 150, ASK + b"G"):
        for _ in range(5):
            assert asked(port, 5)
    assert said == ["covidnet: Research software, not a medical device.\n"]


@slow
def test_a_full_table_of_descriptors_is_one_line_and_passes(run):
    unbounded = "server.most_connections = lambda: 10**6"
    words = "serve", run, "--port", 0, "--device", "cpu"
    with few_descriptors(100, SERVE.format(unbounded), *words) as (port, said):
        with crowd(port, 150, b"G"):
            time.sleep(2.5)  # asyncio has tried again by then
        wait_for(lambda: asked(port, 5))
    assert said[0].count("new connections wait") == 1
    assert len(said[0].splitlines()) == 2


HEAD = b"Host: localhost\r\n"
ODD = {
    "both lengths": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n",
    "both, the other way": b"POST /predict HTTP/1.1\r\n" + HEAD + CHUNKED[:-2] + b"content-length: 4\r\n\r\n0\r\n\r\n",
    "the same length twice": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "two lengths": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\naa",
    "a list of lengths": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 1, 1\r\n\r\na",
    "a length with a sign": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: +1\r\n\r\na",
    "a hexadecimal length": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: 0x1\r\n\r\na",
    "no length": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: \r\n\r\n",
    "a long length": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length: " + b"1" * 400 + b"\r\n\r\n",
    "a space before the colon": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length : 1\r\n\r\na",
    "a folded length": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Content-Length:\r\n 1\r\n\r\na",
    "a folded header": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "chunked twice": b"POST /predict HTTP/1.1\r\n" + HEAD + CHUNKED[:-2] + CHUNKED + b"0\r\n\r\n",
    "chunked after gzip": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "almost chunked": b"POST /predict HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /predict HTTP/1.0\r\n" + HEAD + CHUNKED + b"0\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\n" + HEAD + b"Host: evil.example\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "another server's path": b"GET http://evil.example/health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "this server's path": b"GET http://localhost/health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no path": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "CONNECT with a path": b"CONNECT /health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 with a path": b"GET /health HTTP/2.0\r\n" + HEAD + b"\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
    "many headers": b"GET /health HTTP/1.1\r\n" + HEAD + b"".join(b"a%d:\r\n" % n for n in range(500)) + b"\r\n",
    "a large header": b"GET /health HTTP/1.1\r\n" + HEAD + b"a:" + b"b" * 100_000 + b"\r\n\r\n",
    "a long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a zero byte": b"GET /health HTTP/1.1\r\n" + HEAD + b"a: \0\r\n\r\n",
}
TAKEN_BY_UVICORN = ("both lengths", "the same length twice", "a list of lengths", "a folded header", "bare line feeds")


@pytest.mark.parametrize("name", ODD)
def test_an_odd_head_is_a_short_refusal(served, careless, name, capfd):
    if name in TAKEN_BY_UVICORN:
        assert exchanged(careless.port, ODD[name]).startswith(b"HTTP/1.1 200")
    got = exchanged(served.port, ODD[name])
    assert re.match(rb'HTTP/1.1 400 .*\r\n\r\n{"detail": "[A-Z][^\r\n]{10,90}\."}$', got, re.DOTALL)
    assert got.count(b"HTTP/1.1 4") <= 1  # what is behind it is no second request
    assert capfd.readouterr() == ("", "")


def test_a_refusal_is_heard_however_much_is_sent_behind_it(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.0\r\n" + HEAD + CHUNKED)
        time.sleep(0.2)  # by now it is refused
        for _ in range(20):
            client.sendall(b"c350\r\n" + bytes(50_000) + b"\r\n")
        assert client.recv(100_000).endswith(b'{"detail": "HTTP/1.0 knows no Transfer-Encoding."}')


def test_who_goes_on_sending_after_a_refusal_is_cut_off(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.0\r\n" + HEAD + CHUNKED)
        ends = time.monotonic() + ours.REFUSED_SECONDS + 3

        def send_on():
            while time.monotonic() < ends:
                client.sendall(b"a" * 1000)
                time.sleep(0.02)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_on()


def exchanged(port, request):
    """Send a request; return all that is answered until the other side hangs up."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        try:
            client.sendall(request)
            while more := client.recv(100_000):
                got += more
        except (BrokenPipeError, ConnectionResetError):
            return got or b"reset"
    return got


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /health HTTP/1.1\r\n", 405),
        (b"HEAD / HTTP/1.1\r\n", 200),
        (b"OPTIONS /predict HTTP/1.1\r\n", 405),
        (b"TRACE /predict HTTP/1.1\r\n", 405),
        (b"PUT /predict HTTP/1.1\r\n", 405),
        (b"BREW / HTTP/1.1\r\n", 405),
        (b"GET /%00%ff/../..//etc/passwd HTTP/1.1\r\n", 404),
        (b"GET /health HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", 200),
        (b"GET /health HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n", 200),
        (b"GET /health HTTP/1.1\r\nExpect: 200-ok\r\n", 200),
        (b"GET /health HTTP/1.0\r\n", 200),
    ],
)
def test_other_methods_and_upgrades_get_a_short_answer(served, request_, status, capfd):
    got = exchanged(served.port, request_ + HEAD + b"\r\n")  # until the keep-alive ends
    assert int(got.split()[1]) == status
    assert capfd.readouterr() == ("", "")


def test_a_sound_head_is_not_refused():
    for line in (b"Content-Length: 12", b"Transfer-Encoding: chunked", b"X: " + b"a" * 9_000, b"Accept:"):
        assert refusal(b"POST /predict?heat=true HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n") is None


def test_a_broken_body_is_a_refusal_and_no_traceback(served, capfd):
    broken = (b"z\r\n", b"2\r\nabcd\r\n", b"-1\r\n", b"fffffffffffffffffffff\r\n", b"0\r\n : a\r\n\r\n", b"1\na\n0\n\n")
    for path in (b"/predict", b"/nowhere", b"/health"):
        for chunk in broken:
            got = exchanged(served.port, b"POST " + path + b" HTTP/1.1\r\n" + HEAD + CHUNKED + chunk)
            assert int(got.split()[1]) in (400, 404, 405, 408)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"Origin": "http://localhost:{port}"}, True),
        ({"Origin": "HTTP://LocalHost:{port}"}, True),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, True),  # a browser says so, behind a proxy
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://localhost:1"}, False),
        ({"Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost:{port}.evil.example"}, False),
        ({"Origin": "http://localhost:{port}@evil.example"}, False),
        ({"Origin": "ftp://localhost:{port}"}, False),
        ({"Origin": "chrome-extension://localhost:{port}"}, False),
        ({"Origin": "http://localhost:{port}", "Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://localhost:{port}", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "something"}, False),
    ],
)
def test_another_pages_upload_is_refused_by_either_header(served, image, headers, own):
    sent = {name: value.format(port=served.port) for name, value in headers.items()}
    reply = served.predict(image, headers={"Host": f"localhost:{served.port}", **sent})
    assert reply.status == (200 if own else 403)


def test_default_ports_and_any_address_are_compared_with_the_host():
    from starlette.datastructures import Headers

    from covidnet.serving.heads import foreign

    for origin, host in (
        ("http://a.example", "a.example:80"),
        ("https://a.example", "a.example"),
        ("http://[::1]:8", "[::1]:8"),
    ):
        assert not foreign(Headers({"origin": origin, "host": host}))
    assert foreign(Headers({"origin": "http://192.0.2.1:8000", "host": "192.0.2.2:8000"}))
    assert foreign(Headers({"origin": "http://a.example"}))
    both = [(b"origin", b"http://a.example"), (b"origin", b"http://b.example"), (b"host", b"a.example")]
    assert foreign(Headers(raw=both))


B = b"----------boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={B.decode()}"}


def part(content, name=b'name="file"; filename="x.png"', more=b""):
    return b"--" + B + b"\r\nContent-Disposition: form-data; " + name + b"\r\n" + more + b"\r\n" + content + b"\r\n"


def test_a_form_with_a_file_is_taken_as_the_file(served, image, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    known = served.predict(image).json
    end = b"--" + B + b"--\r\n"
    odd = b"\r\n--" + B[:-1]  # in a file, not its end
    for body in (
        part(image) + end,
        part(image, more=b"Content-Type: image/png\r\n") + end,
        part(image, b'name="q"') + end[:-2],
    ):
        assert served.predict(body, headers=FORM).json == known
    assert served.predict(part(image + odd) + end, headers=FORM).status == 200
    quoted = {"Content-Type": 'Multipart/Form-Data; charset=utf-8; Boundary="' + B.decode() + '"'}
    assert served.predict(part(image) + end, headers=quoted).json == known
    assert served.predict(image, headers=FORM).json == known  # whatever content type
    assert not list(tmp_path.iterdir())


def test_curls_own_form_is_taken(served, image, tmp_path):
    (tmp_path / "x.png").write_bytes(image)
    command = ["curl", "-sS", "--noproxy", "*", "-F", f"file=@{tmp_path / 'x.png'}", f"{served.url}/predict"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no curl")
    assert json.loads(done.stdout) == served.predict(image).json


DEEP = {**FORM, "Content-Type": "multipart/form-data"}
END = b"--" + B + b"--\r\n"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (part(b"a") + part(b"b") + END, FORM, 422, "more than one part"),
        (part(b"a") * 100_000 + END, FORM, 422, "more than one part"),
        (part(b"a") + END + b"more", FORM, 422, "more than one part"),
        (part(b"a"), FORM, 422, "damaged or incomplete"),
        (END, FORM, 422, "damaged or incomplete"),
        (b"--" + B + b"\r\n" + b"A: b\r\n" * 100_000, FORM, 422, "damaged or incomplete"),
        (part(b"a") + END, DEEP, 422, "no boundary"),
        (part(b"a") + END, {"Content-Type": "multipart/form-data; boundary=" + "a" * 71}, 422, "no boundary"),
        (part(b"a", more=b"Content-Transfer-Encoding: base64\r\n") + END, FORM, 415, "not encoded"),
        (
            part(part(b"a") + END, more=b"Content-Type: multipart/mixed; boundary=x\r\n") + END,
            FORM,
            422,
            "more than one",
        ),
        (b'{"image": "' + base64.b64encode(bytes(300)) + b'"}', JSON, 415, "is JSON"),
        (b"[" * 1_000_000, JSON, 415, "is JSON"),
        (b'"' + base64.b64encode(bytes(300)) + b'"', {}, 422, "is JSON"),
        (base64.b64encode(bytes(300)), {}, 422, "base64"),
        (b"data:image/png;base64," + base64.b64encode(bytes(300)), {}, 422, "base64"),
        (gzip.compress(bytes(1_000_000)), {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (b"a", {"Content-Encoding": "gzip, gzip"}, 415, "Content-Encoding"),
        (b"a", {"Content-Encoding": "br"}, 415, "Content-Encoding"),
        (b"a", {"Content-Encoding": "identity, deflate"}, 415, "Content-Encoding"),
    ],
)
def test_other_ways_to_send_are_told_how(served, body, headers, status, says):
    began = time.monotonic()
    reply = served.predict(body, headers=headers)
    assert (reply.status, list(reply.json)) == (status, ["detail"])
    assert says in reply.json["detail"]
    assert "curl --data-binary @image.png" in reply.json["detail"]
    assert time.monotonic() - began < 5
    assert reply.headers.get("accept-encoding") == ("identity" if "Content-Encoding" in says else None)


def test_openapi_tells_of_the_form(served):
    operation = served.ask("/openapi.json").json["paths"]["/predict"]["post"]
    assert "multipart/form-data" in operation["requestBody"]["content"]
    assert "415" in operation["responses"]


def test_what_is_used_of_uvicorn_and_h11_exists():
    config = uvicorn.Config(plain_app, lifespan="off")
    protocol = H11Protocol(config, uvicorn.server.ServerState(), {}, contextlib.nullcontext())
    assert isinstance(protocol.conn, h11.Connection)
    for name in ("cycle", "flow", "transport", "loop"):
        assert hasattr(protocol, name)
    for name in ("connection_made", "connection_lost", "data_received", "on_response_complete", "send_400_response"):
        assert callable(getattr(H11Protocol, name))
    for name in ("pause_writing", "resume_writing"):
        assert callable(getattr(H11Protocol, name))
    assert FlowControl(None).write_paused is False
    assert "response_complete" in RequestResponseCycle.__init__.__code__.co_names
    assert {"trailing_data", "their_state", "next_event"} <= set(dir(h11.Connection))
