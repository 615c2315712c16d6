"""`nccli` and `python -m nccli`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line and return its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        # scripts ask for this often: answered before anything heavy is imported
        from nccli import __version__

        print(f"nccli {__version__}")
        return 0
    # One BLAS thread: the products here are small, and threads that wait for each other on a busy
    # machine made `hessian` six times slower. It also keeps the bytes of a result independent of
    # the number of cores. Set the variable yourself to have it otherwise.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from nccli.cli.app import run
    except KeyboardInterrupt:
        return 130
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
