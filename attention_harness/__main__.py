"""`attention-harness`, and `python -m attention_harness`: the same as `python -m harness`."""

from __future__ import annotations

import sys

from attention_harness import ForeignHarness, ours


def main() -> int:
    """Run the command line."""
    try:
        cli = ours("harness.cli")
    except ForeignHarness as error:
        print(f"attention-harness: {error}", file=sys.stderr)
        return 2
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
