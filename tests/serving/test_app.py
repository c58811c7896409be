"""Facts about the JSON API: the model's own answers, and refusals in plain sentences that leave it serving."""

import base64
import io
import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import CLASSES, slow
from PIL import Image
from served import fail_lungs_test, serving, train

import covidnet
from bench.hostile import (
    dicom,
    dicom_bomb,
    dicom_scans,
    jpeg_scans,
    jpeg_segments,
    png_bomb,
    png_chunks,
    tiff_bomb,
    uploads,
    webp_bomb,
)
from covidnet.commands.main import main as tools
from covidnet.serving.limits import Limits

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = train(tmp_path_factory.mktemp("served"))
    fail_lungs_test(folder)
    drop = {"value": 0.4, "interval": [0.3, 0.5]}
    elsewhere = {
        "checkpoint": "runs/best.ckpt",
        "sentence": "A drop of 40 points.",
        "drop": {"balanced_accuracy": drop},
    }
    (folder / "external.json").write_text(json.dumps(elsewhere))
    return folder


@pytest.fixture(scope="module")
def served(run):
    with serving(run) as server:
        yield server


@pytest.fixture(scope="module")
def images(run):
    root = run.parents[1] / "xrays"
    return [(root / name / f"{name} (1).png").read_bytes() for name in CLASSES]


def picture(uri):
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def encoded(pixels, kind="PNG"):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def test_an_answer_is_the_predictors_own(served, run, images):
    known = covidnet.load(run).predict(images)
    for image, one in zip(images, known, strict=True):
        reply = served.predict(image)
        assert reply.status == 200
        found = reply.json
        assert found["predicted"] == one.predicted
        assert found["probabilities"] == pytest.approx(one.probabilities, abs=1e-6)
        assert found["calibrated"] == pytest.approx(one.calibrated, abs=1e-6)
        assert found["prediction_set"] == one.prediction_set
        assert found["novelty"] == pytest.approx(one.novelty, rel=1e-4)
        assert found["unfamiliar"] is one.unfamiliar
        assert found["coverage"] == 0.9
        assert found["model"] == {
            "name": "convnet",
            "version": covidnet.__version__,
            "classes": list(CLASSES),
            "checkpoint": "best.ckpt",
        }
        assert found["heat"] is found["image"] is None
        assert "not a medical device" in found["notice"]


def test_what_must_be_known_is_told_beside_the_numbers(served, images):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for image in (*images, encoded(noise)):
        found = served.predict(image).json
        *others, lungs, elsewhere = found["warnings"]
        assert elsewhere == "On images from elsewhere: A drop of 40 points."
        assert lungs == "The lungs test of this model fails: 90 % of the skill above chance survives without lungs."
        assert [sentence[:30] for sentence in others] == ["This image does not look like "] * found["unfamiliar"]
    assert found["unfamiliar"]


def test_many_at_once_get_each_its_own_answer(run, images):
    with serving(run) as served:
        alone = [served.predict(image).json["probabilities"] for image in images]
        with ThreadPoolExecutor(16) as clients:
            replies = list(clients.map(served.predict, images * 20))
        assert {reply.status for reply in replies} == {200}
        for number, reply in enumerate(replies):
            assert reply.json["probabilities"] == pytest.approx(alone[number % len(images)], abs=1e-6)
        assert served.engine.batcher.largest > 1


def test_heat_and_the_image_come_where_they_are_asked_for(served):
    pixels = np.linspace(0, 2**16 - 1, 900 * 450).reshape(900, 450).astype(np.uint16)
    found = served.predict(encoded(pixels), "?heat=all&image=true").json
    assert list(found["heat"]) == list(CLASSES)
    drawn = [heat for heat in found["heat"].values() if heat is not None]
    assert drawn
    assert picture(drawn[0]).mode == "RGBA"
    shown = picture(found["image"])
    assert (shown.mode, shown.size) == ("L", (384, 768))  # 16 bits became 8, and no larger than a page needs
    assert np.asarray(shown)[-1, -1] > 250
    found = served.predict(encoded(pixels), "?heat=true").json
    assert list(found["heat"]) == [found["predicted"]]


def test_dicom_without_its_preamble_is_read_as_the_whole_file_is(served):
    whole = dicom(RNG.integers(0, 256, (30, 40), dtype=np.uint8))
    assert served.predict(whole[132:]).json == served.predict(whole).json


def test_dicom_is_read_and_nobody_is_named(served, capfd):
    grey = np.random.default_rng(1).integers(0, 256, (30, 40), dtype=np.uint8)
    who = {
        "PatientName": "Secret^Name",
        "PatientID": "id-4711",
        "PatientBirthDate": "19991231",
        "AccessionNumber": "X-42-X",
    }
    replies = [
        served.predict(dicom(pixels, PhotometricInterpretation=kind, **who), "?image=true&heat=all")
        for pixels, kind in ((grey, "MONOCHROME2"), (255 - grey, "MONOCHROME1"))
    ]
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].json == replies[1].json
    assert picture(replies[0].json["image"]).size == (40, 30)
    replies += [
        served.predict(dicom(grey, PhotometricInterpretation="Secret^Name", Modality="Secret^Name", **who)),
        served.predict(dicom(grey, PatientName="Secret^Name", Rows=31)),
        served.predict(dicom(grey, **who)[:-500]),
    ]
    assert [reply.status for reply in replies[2:]] == [422] * 3
    told = b"".join(reply.body for reply in replies) + "".join(capfd.readouterr()).encode()
    for value in who.values():
        assert value.encode() not in told


GREY = np.zeros((64, 64), dtype=np.uint8)
TIFF16 = np.zeros((8, 8), dtype=np.uint16)


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, "is empty (0 bytes)"),
        (b"hello", 422, "is not an image in a format that is taken"),
        (b"<html><script>alert(1)</script>", 422, "is a web page or XML, not an image; download it again"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", 422, "is a drawing, which is not read"),
        (encoded(GREY, "GIF"), 422, "is not an image in a format"),
        (encoded(GREY)[:-30], 422, "is a damaged PNG"),
        (encoded(RNG.integers(0, 255, (64, 64), dtype=np.uint8), "JPEG")[:900], 422, "is a damaged JPEG"),
        (encoded(TIFF16, "TIFF")[:-20], 422, "This file"),
        (png_bomb(RNG), 413, "million"),
        (webp_bomb(RNG), 413, "million are taken"),
        (tiff_bomb(np.random.default_rng(3)), 413, "pixels"),
        (jpeg_scans(RNG), 413, "scans"),
        (dicom_bomb(RNG), 413, "million are taken"),
        (encoded(GREY)[:33] + dicom(GREY)[33:], 422, "is PNG and DICOM at once"),
        (dicom_scans(RNG), 413, "scans"),
        (png_chunks(RNG), 413, "chunks"),
        (jpeg_segments(RNG), 422, "This file"),
        (dicom(GREY, Modality="CT"), 422, "is a DICOM object of modality CT"),
        (dicom(GREY)[:-100], 422, "is a truncated DICOM file"),
        (encoded(np.zeros((6400, 6400), dtype=np.uint8)), 413, "has 6400 x 6400 pixels; up to 40 million are taken"),
    ],
)
def test_what_is_no_fit_image_is_refused_in_a_sentence(served, content, status, says):
    reply = served.predict(content)
    assert (reply.status, list(reply.json)) == (status, ["detail"])
    sentence = reply.json["detail"]
    assert says in sentence
    assert sentence.startswith("This file ")
    assert sentence.endswith(".")
    assert served.ask("/health").json["status"] == "ok"


def test_a_large_upload_is_refused_with_and_without_its_length(run):
    with serving(run, Limits(max_bytes=1000)) as served:
        for body in (bytes(1500), iter([bytes(800), bytes(800)]), bytes(3_000)):
            reply = served.predict(body)
            assert reply.status == 413
            assert reply.json["detail"] == "This file is too large: up to 0.001 MB are taken."
        assert served.predict(bytes(900)).status == 422


def opened(served, head):
    client = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    client.sendall(head.encode())
    return client


UNFINISHED = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc"


def test_a_slow_client_is_told_so_and_holds_nothing_up(run, images):
    with serving(run, Limits(seconds=0.5)) as served, opened(served, UNFINISHED) as client:
        assert served.predict(images[0]).status == 200
        reply = client.makefile().read()
        assert reply.startswith("HTTP/1.1 408")
        assert "did not arrive within 0.5 seconds." in reply


def test_too_many_at_once_are_told_to_try_again(run, images):
    with serving(run, Limits(under_way=1)) as served:
        with opened(served, UNFINISHED):
            wait_for(lambda: served.ask("/health").json["under_way"] == 1)
            reply = served.predict(images[0])
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        wait_for(lambda: served.ask("/health").json["under_way"] == 0)
        assert served.predict(images[0]).status == 200


def test_memory_for_uploads_is_bounded(run, images, monkeypatch):
    monkeypatch.setattr("covidnet.serving.app.BODIES", 0)
    with serving(run) as served:
        assert served.predict(images[0]).status == 503


def wait_for(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_only_this_machines_names_and_this_page_are_served(served, images):
    reply = served.ask("/health", headers={"Host": "evil.example"})
    assert (reply.status, reply.headers["cache-control"]) == (400, "no-store")
    for name in ("localhost", f"127.0.0.1:{served.port}", f"[::1]:{served.port}"):
        assert served.ask("/health", headers={"Host": name}).status == 200
    assert served.predict(images[0], headers={"Sec-Fetch-Site": "same-origin"}).status == 200
    for site in ("cross-site", "same-site"):
        assert served.predict(images[0], headers={"Sec-Fetch-Site": site}).status == 403


def test_every_answer_forbids_a_browser_to_look_elsewhere(served):
    for path in ("/", "/style.css", "/page.js", "/health", "/nowhere"):
        headers = served.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; img-src 'self' data: blob:;")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    assert b"http://" not in served.ask("/").body
    assert b"https://" not in served.ask("/").body


def test_a_wrong_option_is_told_in_a_sentence(served, images):
    reply = served.predict(images[0], "?heat=<script>")
    assert reply.status == 422
    assert reply.json == {"detail": "heat must be false, true or all, and image true or false."}


def test_openapi_tells_the_body_the_answer_and_the_refusals(served):
    paths = served.ask("/openapi.json").json["paths"]
    operation = paths["/predict"]["post"]
    assert operation["requestBody"]["content"]["application/dicom"]["schema"] == {"type": "string", "format": "binary"}
    assert operation["requestBody"]["required"]
    assert {"200", "403", "408", "413", "422", "503"} <= set(operation["responses"])
    assert set(paths) == {"/predict", "/health"}
    assert served.ask("/docs").status == 404  # that page would load scripts from elsewhere


@slow
def test_hostile_uploads_leave_it_serving_and_nothing_on_disk(served, images, tmp_path, monkeypatch, capfd):
    for name in ("TMPDIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(Path.cwd().rglob("*"))
    known = served.predict(images[0]).json
    with ThreadPoolExecutor(8) as clients:
        statuses = [reply.status for reply in clients.map(lambda one: served.predict(one[1]), uploads(119))]
    assert set(statuses) <= {200, 413, 422}
    assert {413, 422} <= set(statuses)
    assert served.predict(images[0]).json == known
    assert not list(tmp_path.iterdir())
    assert sorted(Path.cwd().rglob("*")) == before
    assert capfd.readouterr() == ("", "")  # nothing of them is logged


def test_a_connection_on_which_nothing_is_asked_is_closed(served, monkeypatch):
    monkeypatch.setattr("covidnet.serving.server.HEAD_SECONDS", 0.2)
    with opened(served, "GET /health HTTP/1.1\r\nHost: local") as client:
        assert client.recv(100) == b""


def test_the_head_of_a_request_is_bounded(served):
    with opened(served, "GET /health HTTP/1.1\r\nHost: localhost\r\n") as client:
        try:
            for _ in range(200):
                client.sendall(b"X-Large: " + b"a" * 1_000 + b"\r\n")
            reply = client.recv(1_000)
        except (BrokenPipeError, ConnectionResetError):
            return  # it has hung up
        assert reply.startswith(b"HTTP/1.1 400")


def test_a_model_of_covered_lungs_is_not_served(run, tmp_path):
    import torch

    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    content["covidnet"]["data"]["init_args"]["lungs"] = "covered"
    torch.save(content, tmp_path / "covered.ckpt")
    with pytest.raises(SystemExit) as exit_:
        tools(["serve", str(tmp_path / "covered.ckpt"), "--port", "0"])
    assert exit_.value.code == 2


def test_without_what_was_fitted_it_says_so(run, tmp_path, images):
    import torch

    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    for key in ("calibration", "novelty"):
        content["covidnet"].pop(key)
    torch.save(content, tmp_path / "old.ckpt")
    with serving(tmp_path / "old.ckpt") as served:
        found = served.predict(images[0]).json
    assert found["calibrated"] is found["prediction_set"] is found["unfamiliar"] is None
    assert [sentence.partition(" ")[0] for sentence in found["warnings"]] == ["The", "Whether"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "{port}"], "--port {port} cannot be listened on: Address already in use"),
        (["--port", "70000"], "--port=70000 must be from 0 to 65535"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid is no address"),
        (["--batch-size", "0"], "--batch-size=0 must be 1 or more"),
    ],
)
def test_a_mistake_is_one_message_and_code_2(run, served, options, says, capsys):
    with pytest.raises(SystemExit) as exit_:
        tools(["serve", str(run), *(option.format(port=served.port) for option in options)])
    assert exit_.value.code == 2
    assert says.format(port=served.port) in capsys.readouterr().err


@slow
def test_sigterm_finishes_what_runs_and_ends_with_0(run, images):
    command = [sys.executable, "-m", "covidnet.commands.main", "serve", str(run), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = process.stdout.readline()
            assert ready.startswith("covidnet: http://127.0.0.1:")
            port = int(ready.split()[1].rpartition(":")[2])
            body = images[0]
            head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(head.encode() + body[:100])
                time.sleep(0.5)
                process.terminate()
                time.sleep(0.5)
                client.sendall(body[100:])
                assert client.recv(1_000).startswith(b"HTTP/1.1 200")
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == "covidnet: stopped.\n"
    assert err == "covidnet: loading PyTorch ...\ncovidnet: Research software, not a medical device.\n"


def test_a_missing_library_is_told_with_the_command(run):
    code = "import sys; sys.modules['fastapi'] = None; from covidnet.commands.main import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, "serve", str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'covidnet[serve]'" in done.stderr
