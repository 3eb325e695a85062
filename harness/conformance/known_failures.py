"""Known failures must name cases: an entry that names none excuses nothing, and looks as if it did."""

from __future__ import annotations

import fnmatch

from harness.conformance.cases import all_cases
from harness.errors import UserError, guess
from harness.plugins.implementation import Implementation


def check_known_failures(implementation: Implementation) -> None:
    """Raise `UserError` for an entry that matches no case, and where every case is excused."""
    cases = all_cases(implementation.operator)
    ids = [case.id for case in cases]
    chapters = [f"{chapter}/*" for chapter in dict.fromkeys(case.chapter for case in cases)]
    name, devices = implementation.name, tuple(implementation.devices)
    for entry in implementation.known_failures:
        device, _, pattern = entry.rpartition(":")
        if device and device not in devices:
            raise UserError(
                f'{name}: the known failure "{entry}" is of the device {device}, and it runs on {" and ".join(devices)}; '
                f'write "{devices[0]}:{pattern}" or "{pattern}"'
            )
        if not any(fnmatch.fnmatchcase(case_id, pattern) for case_id in ids):
            raise UserError(
                f'{name}: the known failure "{entry}" names no case.{guess(pattern, [*chapters, *ids])} '
                'Write the id of a case or a pattern, such as "logits/overflow-*"; `harness check` prints the ids'
            )
    for device in devices:
        if implementation.known_failures and all(implementation.known_failure(case_id, device) for case_id in ids):
            raise UserError(
                f"{name}: its known_failures excuse every case on {device}, so nothing would be examined; "
                "write those that fail, and leave what it does not do out of its Supports"
            )
