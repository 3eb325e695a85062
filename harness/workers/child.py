"""The worker: opens a session and answers requests until its parent hangs up.

Started as `python -m harness.workers.child FD` with the environment already set. What the session prints goes to the log
that the parent opened as standard output; answers go through the socket FD.
"""

from __future__ import annotations

import importlib
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

from harness.workers.failure import failure
from harness.workers.limits import die_with_parent, restrict
from harness.workers.messages import Ready, Request, Session, Start


def main() -> None:
    """Answer requests until the parent hangs up."""
    die_with_parent()
    connection = Connection(int(sys.argv[1]))
    try:
        start: Start = connection.recv()
        restrict(start.threads, start.memory_bytes)
        session = open_session(start)
        connection.send(Ready(session.ready, time.process_time()))
        while True:
            connection.send(next_answer(session, connection))
    except EOFError:
        return
    except Exception as error:  # Opening failed; whatever it was, the parent gets it in words.
        connection.send(failure(error))


def open_session(start: Start) -> Session:
    """The session of the first message. Whatever it raises goes through."""
    module, _, name = start.session.partition(":")
    return getattr(importlib.import_module(module), name)(*start.arguments)


def next_answer(session: Session, connection: Connection) -> Any:
    """The reply to the next request; whatever goes wrong becomes a `Failed`. Raises `EOFError` when there is no more."""
    try:
        request: Request = connection.recv()
        return session.handlers[type(request)](request)
    except EOFError:
        raise
    except Exception as error:  # A plug-in may raise anything, and its classes may not be found here.
        return failure(error)


if __name__ == "__main__":
    main()
