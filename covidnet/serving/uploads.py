"""The ways in which clients send a file: as the body, or as the one part of a form; other ways are told what to do."""

import re

from fastapi import HTTPException
from starlette.datastructures import Headers

HOW = "Send the file itself: curl --data-binary @image.png URL, or curl -F file=@image.png URL."
PART_HEAD = 4_096  # bytes of a part's head, at most
FORM = "multipart/form-data"
_BOUNDARY = re.compile(r";\s*boundary=(?:\"([^\"\r\n]{1,70})\"|([^\s;\"]{1,70})(?=[\s;]|$))", re.IGNORECASE)
_BASE64 = re.compile(rb"\s*(data:[\w/+.;=-]{0,100},)?[A-Za-z0-9+/_\r\n-]{64}")


def refused_by_head(headers: Headers) -> HTTPException | None:
    """Return the refusal of a body that is packed, which shows before it is read."""
    packed = [value.strip().lower() for value in headers.getlist("content-encoding")]
    if any(value not in ("", "identity") for value in packed):
        sentence = f"Packed bodies (Content-Encoding) are not taken: images are packed already. {HOW}"
        return HTTPException(415, sentence, {"Accept-Encoding": "identity"})
    return None


def unwrapped(body: bytes, headers: Headers) -> bytes:
    """Return the file that a body holds.

    Raises:
        HTTPException: With a sentence that says how to send it.
    """
    kind = headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() == FORM and body.startswith(b"--"):
        return _only_part(body, kind)
    if body[:100].lstrip()[:1] in (b"{", b"[", b'"'):
        raise HTTPException(415 if "json" in kind.lower() else 422, f"This file is JSON, which is not taken. {HOW}")
    if _BASE64.match(body):
        raise HTTPException(422, f"This file is text, such as base64, which is not taken. {HOW}")
    return body


def _only_part(body: bytes, kind: str) -> bytes:
    """Return the content of a form's one part; what lies in it is not looked at, so a form in a form is no file."""
    found = _BOUNDARY.search(kind)
    if found is None:
        raise HTTPException(422, f"This form has no boundary. {HOW}")
    delimiter = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    end_of_head = body.find(b"\r\n\r\n", 0, PART_HEAD)
    end = body.find(b"\r\n" + delimiter, max(end_of_head, 0) + 2)
    if not body.startswith(delimiter + b"\r\n") or end_of_head < 0 or end < 0:
        raise HTTPException(422, f"This form is damaged or incomplete. {HOW}")
    head = body[len(delimiter) : end_of_head].lower()
    after = body[end + 2 + len(delimiter) :]
    if not after.startswith(b"--") or after[2:].strip():
        raise HTTPException(
            422, f"This form has more than one part: one file is taken, options go as ?heat=true. {HOW}"
        )
    if b"content-transfer-encoding" in head:
        raise HTTPException(415, f"Parts of a form are taken as they are, not encoded. {HOW}")
    return body[end_of_head + 4 : end]
