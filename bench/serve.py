"""`covidnet serve` under load: requests a second, latencies and memory, batched and one at a time; hostile clients.

python -m bench.serve RUN --clients 50 --seconds 60
python -m bench.serve RUN --hostile 1000
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.connections import ATTACKS, attacked
from bench.hostile import uploads
from covidnet.data.phantoms import write_phantoms

WAYS = {"one at a time": 1, "batched": 32}  # --batch-size
PATIENCE = 60.0  # seconds that a client waits
AGAIN = 0.5  # seconds after which one who was refused asks again
HELD = 12.0  # seconds that hostile connections are kept: longer than a head may take


class Server(NamedTuple):
    """A running server, and the folder that is its home, its temporary and its working directory."""

    port: int
    pid: int
    folder: Path

    def memory(self) -> float:
        """Return its resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1e3

    def seconds(self) -> float:
        """Return the processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def written(self) -> int:
        """Return the bytes that it has caused to be written to disks."""
        return int(Path(f"/proc/{self.pid}/io").read_text().partition("\nwrite_bytes:")[2].split()[0])

    def files(self) -> set[tuple[str, int]]:
        """Return the files in its folder, and their sizes."""
        return {(str(file), file.stat().st_size) for file in self.folder.rglob("*") if file.is_file()}

    def left(self, before: int, files: set[tuple[str, int]]) -> str:
        """Tell what has come to the disk since."""
        changed = len(self.files() - files)
        return f"written to disk: {self.written() - before} bytes; files new or changed: {changed}"

    def ask(self, client: http.client.HTTPConnection, body: bytes, query: str = "") -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        client.request("POST", f"/predict{query}", body)
        response = client.getresponse()
        return response.status, response.read()

    def client(self) -> http.client.HTTPConnection:
        """Return a connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)


def main() -> None:
    """Let both ways take turns, each with a server of its own, and print what each gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1, help="how often each way takes its turn")
    parser.add_argument("--way", choices=WAYS, help="only this one")
    parser.add_argument("--images", type=Path, help="folder of images to send; drawn ones, if left out")
    parser.add_argument("--query", default="", help="such as ?heat=true")
    parser.add_argument("--device")
    parser.add_argument("--hostile", type=int, metavar="N", help="attack by so many uploads and connections instead")
    args = parser.parse_args()
    checkpoint = args.checkpoint.absolute()
    with tempfile.TemporaryDirectory() as folder:
        images = [file.read_bytes() for file in _images(args.images, Path(folder) / "phantoms")]
        if args.hostile:
            with serving(checkpoint, 32, args.device) as server:
                attack(server, images[0], args.hostile)
            return
        rates: dict[str, list[float]] = {way: [] for way in ([args.way] if args.way else WAYS)}
        for _ in range(args.rounds):
            for way, found in rates.items():
                with serving(checkpoint, WAYS[way], args.device) as server:
                    found.append(load(server, images, args, way))
    if not args.way:
        first, second = (statistics.mean(found) for found in rates.values())
        print(f"batched / one at a time: {second / first:.2f} in requests a second")


def load(server: Server, images: list[bytes], args: argparse.Namespace, way: str) -> float:
    """Let so many clients ask for so long, each its next image at once; return the answers a second."""
    taken: list[float] = []
    wrong: Counter[str] = Counter()
    memory: list[tuple[float, float]] = []
    before, spent, files = server.written(), server.seconds(), server.files()
    began = time.perf_counter()
    end = began + args.seconds

    def ask(number: int) -> None:
        client = server.client()
        while time.perf_counter() < end:
            start = time.perf_counter()
            try:
                status, _ = server.ask(client, images[number % len(images)], args.query)
                if status == 200:
                    taken.append(time.perf_counter() - start)
                else:
                    wrong[str(status)] += 1
            except OSError as error:
                wrong[type(error).__name__] += 1
                client.close()
            number += args.clients

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(args.clients)]
    for thread in threads:
        thread.start()
    while time.perf_counter() < end:
        memory.append((time.perf_counter() - began, server.memory()))
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    sixths = [memory[number * (len(memory) - 1) // 6] for number in range(7)]
    spent = server.seconds() - spent
    rate = len(taken) / seconds
    each, (median, p95, p99) = 1e3 * spent / max(len(taken), 1), np.quantile(taken, (0.5, 0.95, 0.99))
    print(
        f"{way}: {len(taken)} answers in {seconds:.0f} s to {args.clients} clients, {rate:.1f} a second\n"
        f"  {each:.1f} ms of processor time each\n"
        f"  median {median:.3f} s, p95 {p95:.3f} s, p99 {p99:.3f} s; errors: {dict(wrong) or 'none'}\n"
        f"  memory in MB: {', '.join(f'{size:.0f} at {at:.0f} s' for at, size in sixths)}\n"
        f"  {server.left(before, files)}",
        flush=True,
    )
    return rate


def attack(server: Server, good: bytes, number: int) -> None:
    """Attack by uploads and by connections; tell the answers, and how an honest client fares meanwhile."""
    known = server.ask(server.client(), good)
    before, files, memory = server.written(), server.files(), server.memory()
    began = time.perf_counter()

    def send(upload: tuple[str, bytes]) -> tuple[str, str]:
        name, content = upload
        try:
            return name, str(server.ask(server.client(), content)[0])
        except OSError as error:
            return name, type(error).__name__

    found: Counter[tuple[str, str]] = Counter()
    with honest(server, good, predicted(known[1])) as told, ThreadPoolExecutor(8) as clients:
        for name in (*ATTACKS, None):
            with attacked(server.port, name, number):
                found.update(clients.map(send, uploads(number) if name is None else ()))
                if name:
                    time.sleep(HELD)
            print(f"{name or 'uploads'}: {told()}; memory {server.memory():.0f} MB", flush=True)
    for name in sorted({name for name, _ in found}):
        print(f"{name}: {dict(sorted((status, n) for (kind, status), n in found.items() if kind == name))}")
    same = server.ask(server.client(), good) == known
    seconds = time.perf_counter() - began
    print(
        f"{number} hostile uploads, and as many connections of each kind, in {seconds:.0f} s; a good upload then gives "
        f"the same answer: {same}\n"
        f"  memory {memory:.0f} MB before, {server.memory():.0f} MB after\n"
        f"  {server.left(before, files)}"
    )


def predicted(answer: bytes) -> str:
    """Return the class that an answer names; in a batch with others, its numbers differ in their last digits."""
    return str(json.loads(answer)["predicted"])


@contextmanager
def honest(server: Server, good: bytes, known: str) -> Iterator[Callable[[], str]]:
    """Ask once a second, on a new connection, and again where refused; yield what tells how that went since last."""
    taken: list[float] = []
    wrong: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        start = time.perf_counter()
        while not over.is_set():
            try:
                status, body = server.ask(server.client(), good)
                if status == 200 and predicted(body) == known:
                    taken.append(time.perf_counter() - start)
                    return
                wrong[str(status)] += 1
            except OSError as error:
                wrong[type(error).__name__] += 1
            over.wait(AGAIN)

    def ask_on() -> None:
        while not over.is_set():
            ask()
            over.wait(1)

    def tell() -> str:
        seconds, errors = taken[:], dict(wrong)
        taken.clear()
        wrong.clear()
        slowest = f"the slowest of {len(seconds)} answers took {max(seconds):.3f} s" if seconds else "no answer"
        return f"honest client: {slowest}, refused before: {errors or 'none'}"

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield tell
    finally:
        over.set()
        thread.join()


@contextmanager
def serving(checkpoint: Path, batch_size: int, device: str | None) -> Iterator[Server]:
    """Run `covidnet serve` in an empty folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        places = dict.fromkeys(("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"), folder)
        command = [sys.executable, "-m", "covidnet.commands.main", "serve", str(checkpoint), "--port", "0"]
        command += ["--batch-size", str(batch_size), *(["--device", device] if device else [])]
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, **places, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
        assert process.stdout
        try:
            port = int(process.stdout.readline().split()[1].rpartition(":")[2])
            yield Server(port, process.pid, Path(folder))
        finally:
            process.terminate()
            if process.wait(PATIENCE) != 0:
                print(f"the server ended with {process.returncode}")


def _images(given: Path | None, drawn: Path) -> list[Path]:
    files = [file for file in (given or write_phantoms(drawn, {"COVID-19": 8, "NORMAL": 8})).rglob("*")]
    return sorted(file for file in files if file.suffix.lower() in (".png", ".jpg", ".jpeg"))[:64]


if __name__ == "__main__":
    main()
