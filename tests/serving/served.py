"""A small trained model behind a real server, and the requests of a client."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from helpers import QUICK, paint

from covidnet.commands.train import main
from covidnet.inference.predictor import Predictor
from covidnet.serving.app import Gate
from covidnet.serving.engine import Engine
from covidnet.serving.limits import Limits
from covidnet.serving.server import LOOPBACK, listen, make_server

PATIENCE = 60  # seconds


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served(NamedTuple):
    port: int
    engine: Engine
    gate: Gate

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None, method: str = "GET") -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def predict(self, body: Any, query: str = "", headers: dict[str, str] | None = None) -> Reply:
        return self.ask(f"/predict{query}", body, headers, "POST")


def train(folder: Path) -> Path:
    """Train on painted images, which lie in xrays/; return the run's directory."""
    keys = {"data.root": paint(folder / "xrays"), "data.cache_dir": folder / "cache"}
    sizes = ["data.image_size=12", "data.test_per_class=3", "data.batch_size=8", "trainer.max_epochs=3"]
    main([*(f"{key}={value}" for key, value in keys.items()), f"trainer.default_root_dir={folder}", *sizes, *QUICK])
    return folder / "convnet" / "version_0"


def fail_lungs_test(run: Path) -> None:
    """Leave a lungs test that failed in a run's directory."""
    sentence = "90 % of the skill above chance survives without lungs."
    (run / "shortcuts.json").write_text(json.dumps({"verdict": "FAIL", "sentence": sentence}))


@contextmanager
def serving(run: Path, limits: Limits | None = None, **options: int) -> Iterator[Served]:
    """Serve a run on a free port, in a thread."""
    engine = Engine(Predictor(run), **{"batch_size": 8, "waiting": 64, "max_pixels": 40_000_000, **options})
    with listen("127.0.0.1", 0) as listener:
        server = make_server(engine, limits or Limits(), list(LOOPBACK), "ready")
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        gate = next(one.kwargs["gate"] for one in server.config.app.user_middleware if "gate" in one.kwargs)
        served = Served(listener.getsockname()[1], engine, gate)
        try:
            served.ask("/health")  # the socket listens already; this waits for the answer
            yield served
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()
