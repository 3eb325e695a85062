"""`harness tune`: an implementation's own choices against others."""

from __future__ import annotations

import argparse
from typing import Any

from harness.commands import options
from harness.commands.run import begin, measured, requested
from harness.errors import UserError
from harness.plugins.registry import discover


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device(), measured()]
    verb = verbs.add_parser("tune", parents=parents, help="an implementation's own choices against others")
    verb.add_argument("--impl", metavar="NAME", required=True, help="an implementation that declares what can be tuned")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Run an implementation beside its variants; its own choice is the baseline of the speed-ups."""
    from harness.runs.request import plan

    found = discover(given.plugin)
    registry = found.holding(given.impl, given.operator)
    name = registry.select(given.impl)[0]
    variants = [one.name for one in registry.implementations[name].variants()] if name in registry.implementations else []
    if not variants or given.impl.strip() != name:
        able = ", ".join(one.name for one in registry.implementations.values() if one.tunables)
        raise UserError(f"tune takes one implementation that declares what can be tuned ({able}), not {given.impl}")
    return begin(plan(requested(given, ",".join([name, *variants]), name), found), given, found)
