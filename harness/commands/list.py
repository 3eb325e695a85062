"""`harness list`: all implementations, and whether they can run here."""

from __future__ import annotations

import argparse
import json
from typing import Any

from harness.commands import options
from harness.plugins.registry import Found, Registry, discover


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser(
        "list", parents=[options.operator(), options.plugin()], help="all implementations, and whether they can run here"
    )
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Every implementation: where it can run, whether that is here, what it supports."""
    found = discover(given.plugin)
    registries = [found.of(given.operator)] if given.operator else found.registries.values()
    entries = [entry for registry in registries for entry in _entries(registry)] + _broken(found)
    if given.json:
        print(json.dumps(entries, indent=1))
        return True
    from rich.console import Console

    from harness.report.listing import print_list

    print_list(Console(), entries)
    return True


def _entries(registry: Registry) -> list[dict[str, Any]]:
    from harness.plugins.contender import contenders

    entries: list[dict[str, Any]] = []
    for one in registry.implementations.values():
        here = {d: contenders(registry, [one.name], d)[0] for d in one.devices}
        entries.append(
            {
                "name": one.name,
                "operator": one.operator.name,
                "framework": one.framework,
                "summary": one.summary,
                "devices": {device: contender.absent or None for device, contender in here.items()},
                "supports": {device: one.supports_on(device).summary() for device in one.devices},
                "known_failures": sorted(set(one.known_failures.values())),
                "wrong_on_purpose": one.wrong_on_purpose,
                "error": None,
            }
        )
    return entries


def _broken(found: Found) -> list[dict[str, Any]]:
    empty = {"operator": "", "framework": "", "summary": "", "devices": {}, "supports": {}, "known_failures": []}
    empty["wrong_on_purpose"] = ""
    return [{"name": broken.name, **empty, "error": broken.error} for broken in found.broken]
