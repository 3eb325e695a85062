"""The worker: opens a session and answers requests until its parent hangs up.

Started as `python -m harness.workers.child FD` with the environment already set. What the session prints goes to the log
that the parent opened as standard output; answers go through the socket FD.
"""

from __future__ import annotations

import importlib
import socket
import sys
import time
from typing import Any

from harness.workers.failure import failure
from harness.workers.limits import die_with_parent, restrict
from harness.workers.messages import Ready, Request, Session, Start
from harness.workers.wire import Wire


def main() -> None:
    """Answer requests until the parent hangs up."""
    die_with_parent()
    wire = Wire(socket.socket(fileno=int(sys.argv[1])))
    try:
        start: Start = wire.receive()
    except EOFError:
        return
    try:
        restrict(start.threads, start.memory_bytes)
        session = open_session(start)
        opened = Ready(session.ready, time.process_time())
    except BaseException as error:  # Opening failed; whatever it was, the parent gets it in words.
        send(wire, failure(error))
        return
    reply: Any = opened
    while send(wire, reply):
        try:
            request: Request = wire.receive()
        except EOFError:
            return
        reply = answer(session, request)


def open_session(start: Start) -> Session:
    """The session of the first message. Whatever it raises goes through."""
    module, _, name = start.session.partition(":")
    return getattr(importlib.import_module(module), name)(*start.arguments)


def answer(session: Session, request: Request) -> Any:
    """The reply to a request; whatever goes wrong becomes a `Failed`."""
    try:
        return session.handlers[type(request)](request)
    except BaseException as error:  # A plug-in may raise anything, and its classes may not be found here.
        return failure(error)


def send(wire: Wire, reply: Any) -> bool:
    """Send a reply, or why it cannot be sent. False when nobody is there to read it."""
    try:
        try:
            wire.send(reply)
        except OSError:
            raise
        except Exception as error:  # It cannot be pickled.
            wire.send(failure(error))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
