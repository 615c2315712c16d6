"""The connection to a Dask scheduler, and every way in which it can be missing.

dask.distributed is imported when a connection is made, and not before.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from nccli import __version__
from nccli.errors import MissingExtraError, UsageError

Client: TypeAlias = Any  # a distributed.Client: it may not be installed, and is half untyped

# Our own limits, from no source but judgement.
CONNECT_SECONDS = 10.0  # a scheduler that was started just before us needs some two
WORKERS_SECONDS = 120.0  # for the first worker: the job of a queue may have to start
CLOSE_SECONDS = 2.0  # for a last word to a scheduler that may hang


class Disconnected(BrokenExecutor):
    """The scheduler went away, and with it all tasks."""

    def __init__(self) -> None:
        super().__init__("the Dask scheduler is gone")


class Link:
    """A connection that is made anew where the scheduler was lost."""

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        self._address, self._say = address, say
        self._client: Client = None

    def client(self) -> Client:
        """Return a client that is connected. Raises what `connect` raises."""
        if self._client is None or self._client.status != "running":
            self.close()
            self._client = connect(self._address, say=self._say)
        return self._client

    def close(self) -> None:
        """Close the connection: the scheduler then forgets what was asked for through it."""
        if self._client is not None:
            with contextlib.suppress(TimeoutError):  # of a scheduler that hangs
                self._client.close(timeout=CLOSE_SECONDS)
            self._client = None


def connect(address: str, *, say: Callable[[str], None]) -> Client:
    """Return a distributed.Client of a scheduler that has at least one worker with this nccli.

    say: told when there is something to wait for.
    Raises MissingExtraError without distributed, UsageError where no scheduler can be reached, no
    worker comes, or the workers have another nccli.
    """
    distributed = _distributed()
    _knock(address)
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _unreachable(address, str(error)) from None
    try:
        _check_workers(client, address, say)
    except BaseException as error:
        client.close(timeout=CLOSE_SECONDS)
        if isinstance(error, (OSError, CancelledError)):
            raise _unreachable(address, "it went away") from None
        raise
    return client


def killed_worker() -> type[Exception]:
    """Return the exception of a task that several workers died of."""
    kind: type[Exception] = _distributed().KilledWorker
    return kind


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError(
            "a cluster needs Dask (distributed)", remedy="pip install 'nccli[cluster]'"
        ) from None
    return distributed


def _knock(address: str) -> None:
    """Wait until something listens: Dask's own client leaves threads behind where nothing does."""
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        parts, scheme, host, port = urlsplit(""), "", None, None
    if scheme not in ("tcp", "tls") or not host or not port or parts.path:
        raise UsageError(
            f"'{address}' is no address of a Dask scheduler", remedy="give one like tcp://host:8786"
        )
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            return
        except socket.gaierror as error:
            raise _unreachable(address, f"no host of that name: {error.strerror}") from None
        except OSError as error:
            if time.monotonic() > end:
                raise _unreachable(address, error.strerror or "no answer") from None
            time.sleep(0.1)


def _unreachable(address: str, reason: str) -> UsageError:
    return UsageError(
        f"cannot reach the Dask scheduler at {address} ({reason})",
        remedy="start one with `dask scheduler`, and check the address",
    )


def _check_workers(client: Client, address: str, say: Callable[[str], None]) -> None:
    if not client.nthreads():
        say(f"nccli: waiting for the first worker of the Dask scheduler at {address}")
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError:
        raise UsageError(
            f"the Dask scheduler at {address} has no workers",
            remedy=f"start some with `dask worker {address}`",
        ) from None
    try:
        theirs = client.submit(_version, pure=False).result(timeout=WORKERS_SECONDS)
    except (ImportError, AttributeError, RuntimeError, TimeoutError) as error:
        raise UsageError(
            f"the Dask cluster at {address} cannot run nccli ({type(error).__name__}: {error})",
            remedy="install the same nccli and distributed for its scheduler and workers",
        ) from None
    if theirs != __version__:
        raise UsageError(
            f"the Dask workers at {address} have nccli {theirs}, this machine has {__version__}",
            remedy="install the same version",
        )


def _version() -> str:
    return __version__


def threads_of(client: Client) -> int:
    """Return how many tasks the cluster runs at a time, as of now; 1 where it has no worker.

    Raises Disconnected.
    """
    try:
        count: int = sum(client.nthreads().values())
    except OSError:
        raise Disconnected from None
    return max(1, count)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's log from stderr: what a user must know is told as an error."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    _distributed()  # sets levels of its own when it is imported
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
