"""Open a web page and a JSON API for a model, on this machine."""

import argparse

from covidnet.commands.options import add_body_part, add_checkpoint, add_device, tell_loading
from covidnet.errors import UserError, require
from covidnet.runs.members import find_model

LIBRARIES = ("fastapi", "uvicorn", "markdown_it", "h11")  # of the extra "serve"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_checkpoint(parser)
    text = "address to listen on (default: 127.0.0.1, which only this machine reaches)"
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=text)
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="port; 0 is any free one (default: 8000)")
    add_device(parser)
    add_body_part(parser)
    text = "images that the model sees at once, at most, when several wait (default: 32; 1 is one at a time)"
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help=text)
    text = "requests at once, at most; more are told to try again (default: 128)"
    parser.add_argument("--waiting", type=int, default=128, metavar="N", help=text)
    text = "bytes of an upload, at most (default: 32,000,000)"
    parser.add_argument("--max-bytes", type=int, default=32_000_000, metavar="N", help=text)
    text = "pixels of an image, at most (default: 40,000,000)"
    parser.add_argument("--max-pixels", type=int, default=40_000_000, metavar="N", help=text)


def run(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM, and let running requests finish."""
    find_model(options.checkpoint)
    tell_loading("torch")
    try:
        from covidnet.serving.server import listen, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LIBRARIES:
            raise
        raise UserError(
            f"What serves is not installed ({error}): pip install 'covidnet[serve]', then the same command again."
        ) from error
    from covidnet.inference.predictor import Predictor
    from covidnet.serving.engine import Engine
    from covidnet.serving.limits import Limits

    for key in ("max_bytes", "max_pixels", "batch_size", "waiting"):
        value = getattr(options, key)
        require(value >= 1, f"--{key.replace('_', '-')}", value, "1 or more")
    with listen(options.host, options.port) as listener:  # before the model is read: a port in use shows at once
        predictor = Predictor(options.checkpoint, options.device, body_part=options.body_part)
        if predictor.cost:
            print(f"covidnet: {predictor.cost}", flush=True)
        engine = Engine(predictor, options.batch_size, options.waiting, options.max_pixels)
        connections = max(Limits.connections, 4 * options.waiting)  # pages keep some open that ask for nothing
        limits = Limits(max_bytes=options.max_bytes, under_way=options.waiting, connections=connections)
        serve(engine, listener, options.host, limits)
    print("covidnet: stopped.", flush=True)
