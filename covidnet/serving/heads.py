"""The head of a request: refused where a proxy in front could read it in another way, or where another page sent it."""

import re
from collections.abc import Sequence

import h11
from starlette.datastructures import Headers

MOST = 100  # lines of a head
LARGEST = 16_384  # bytes of a head; h11 bounds those only that come in pieces
_LENGTH = re.compile(rb"[0-9]{1,20}")
_FRAMING = (b"content-length", b"transfer-encoding")
_PORTS = {"http": ":80", "https": ":443"}


class StrictConnection(h11.Connection):
    """Refuses heads that h11 mends: what it makes one of two lengths, another reader may not."""

    problem = "This is no HTTP request."  # a sentence, for the answer

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event; a refused head is an error by the client.

        Raises:
            h11.RemoteProtocolError: Where the request breaks the protocol.
        """
        if self.their_state is not h11.IDLE:
            return super().next_event()
        before, _ = self.trailing_data
        event = super().next_event()
        if isinstance(event, h11.Request):
            after, _ = self.trailing_data
            problem = refusal(before[: len(before) - len(after)])
            if problem:
                self.problem = problem
                raise h11.RemoteProtocolError(problem)
        return event


def refusal(head: bytes) -> str | None:
    """Return why a head is refused, in a sentence, or None where it is sound."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, _, target = first.partition(b" ")
    fields = [line.partition(b":") for line in lines]
    framing = [(name.lower(), value.strip()) for name, _, value in fields if name.lower() in _FRAMING]
    if len(head) > LARGEST:
        return f"A head of more than {LARGEST:,} bytes is not taken."
    if len(lines) > MOST:
        return f"A request of more than {MOST} header lines is not taken."
    if b"\n" in head.replace(b"\r\n", b"") or any(line[:1] in (b" ", b"\t") for line in lines):
        return "Lines of a request's head end with CR LF and are not folded."
    if not first.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return "HTTP/1.1 and HTTP/1.0 are spoken here."
    if method == b"CONNECT" or not target.startswith(b"/"):
        return "Ask for a path, as in GET /health: this is no proxy."
    if len(framing) > 1:
        return "One Content-Length or one Transfer-Encoding is taken, not more."
    if framing and framing[0][0] == b"content-length" and not _LENGTH.fullmatch(framing[0][1]):
        return "Content-Length must be one number."
    if framing and framing[0][0] == b"transfer-encoding" and first.endswith(b"1.0"):
        return "HTTP/1.0 knows no Transfer-Encoding."
    return None


def foreign(headers: Headers) -> bool:
    """Return whether a browser sends a request for the page of another site.

    Browsers tell by Sec-Fetch-Site; older ones, and all of them where the address is not this machine's own, by Origin
    only, which is then compared with the name by which this server was asked.
    """
    sites = headers.getlist("sec-fetch-site")
    if sites:
        return any(site not in ("same-origin", "none") for site in sites)
    return not _own(headers.getlist("origin"), headers.get("host", ""))


def _own(origins: Sequence[str], host: str) -> bool:
    for origin in origins:
        scheme, _, name = origin.lower().partition("://")
        port = _PORTS.get(scheme)
        if port is None or name.removesuffix(port) != host.lower().removesuffix(port):
            return False
    return True
