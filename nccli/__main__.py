"""`nccli` and `python -m nccli`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # scripts ask for this often: answered before anything heavy is imported
        from nccli import __version__

        print(f"nccli {__version__}")
        return 0
    from nccli.cli.app import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
