"""The connections of a server: how many there may be, and which gives way where there is no room."""

import time
from enum import Enum, auto
from typing import Protocol

GIVES_WAY = 1.0  # seconds after which a client that keeps the server waiting gives way to a whole request


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()  # its client has not asked (again)
    BODY = auto()  # its client has not sent all
    ANSWER = auto()  # its client has not read all
    WORK = auto()  # the server works; nothing is waited for


class Connection(Protocol):
    """What a room knows of a connection."""

    phase: Phase
    since: float  # by ``time.monotonic``; what it waits for has not come on since

    def drop(self) -> None:
        """Close it at once; from then on it waits for nothing."""


class Room:
    """All connections of a server, from accept to close.

    A full room does not refuse newcomers for the sake of those who keep the server waiting: else whoever opens enough
    connections and sends nothing would lock all others out. That connection goes for which it has waited for longest,
    whatever it waits for: a newcomer who means well has been there for a moment only.

    Args:
        most: Connections at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.connections: set[Connection] = set()

    def enter(self, connection: Connection) -> bool:
        """Count a connection in, if need be for another; return whether it may stay."""
        if len(self.connections) >= self.most and not self._drop_one(list(self.connections)):
            return False
        self.connections.add(connection)
        return True

    def leave(self, connection: Connection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)

    def make_way(self) -> bool:
        """Close one whose body comes, or whose answer is read, too slowly; return whether there was one."""
        late = time.monotonic() - GIVES_WAY
        held = (Phase.BODY, Phase.ANSWER)
        return self._drop_one([one for one in self.connections if one.phase in held and one.since < late])

    def _drop_one(self, found: list[Connection]) -> bool:
        waiting = [one for one in found if one.phase is not Phase.WORK]
        if waiting:
            min(waiting, key=lambda one: one.since).drop()
        return bool(waiting)
