"""Faults that show only when two threads call at once."""

import threading

from tests.faults.attention import Attention
from tests.faults.faulty import fault


class Meeting:
    """Makes a race certain: calls from another thread than the one that built them wait for each other, in pairs."""

    def __init__(self):
        self._builder = None
        self._pair = threading.Barrier(2, timeout=60)

    def built_here(self):
        self._builder = threading.get_ident()

    def wait(self):
        if threading.get_ident() != self._builder:
            self._pair.wait()


@fault
class WorkspaceSharedByThreads(Attention):
    """The workspace is global: of two threads that call at once, one reads what the other has written."""

    meeting = Meeting()

    def __init__(self, problem):
        super().__init__(problem)
        self.meeting.built_here()

    def weights(self, q, k, mask, bias):
        p, slope = super().weights(q, k, mask, bias)
        WorkspaceSharedByThreads.workspace = p
        self.meeting.wait()
        p = self.workspace
        self.meeting.wait()
        return p, slope


@fault
class GradientsWorkspaceSharedByThreads(Attention):
    """The backward pass has a global workspace: of two threads that call at once, one reads the other's."""

    meeting = Meeting()

    def __init__(self, problem):
        super().__init__(problem)
        self.meeting.built_here()

    def score_gradient(self, saved, do):
        GradientsWorkspaceSharedByThreads.workspace = super().score_gradient(saved, do)
        self.meeting.wait()
        ds = self.workspace
        self.meeting.wait()
        return ds
