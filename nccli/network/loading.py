"""`module:function` and `path/to/file.py:function`: import it, call it, take what it returns."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from nccli.errors import InputError, NotFoundError, UsageError
from nccli.network.problem import Problem, as_problem
from nccli.text import shortlist

LONGEST = 160  # characters of somebody else's message


def load_problem(spec: str) -> Problem:
    """Import and call the user's function; every error in it becomes one line.

    The current folder (and a file's own folder) is importable meanwhile. Raises UsageError on a
    spec of another form, NotFoundError where there is no such module or function, InputError where
    it raises, FormatError where it returns something else.
    """
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise UsageError(
            f"--network must be module:function or file.py:function, got '{spec}'",
            remedy="for instance nccli.network.example:digits",
        )
    function = _function(place, name)
    with _importable(Path(place).parent if place.endswith(".py") else Path()):
        answer = call(f"{name}()", function)
    return as_problem(answer)


def call(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call somebody else's code; what it raises becomes an InputError of one line."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what} raised {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The type and the first line of the message of an exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _function(place: str, name: str) -> Callable[..., Any]:
    module = _from_file(Path(place)) if place.endswith(".py") else _from_name(place)
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    own = [
        key
        for key, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    what = "no function" if function is None else f"a {type(function).__name__}, no function,"
    raise NotFoundError(
        f"{place} has {what} '{name}'", remedy=f"it has: {shortlist(own) or 'none'}"
    )


def _from_name(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(
            f"--network: '{name}' is no name of a module", remedy="a file's name ends in .py"
        )
    with _importable(Path()):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                raise NotFoundError(
                    f"no module '{error.name}' in the current folder or on sys.path"
                ) from error
            raise InputError(f"importing it raised {one_line(error)}") from error
        except (Exception, SystemExit) as error:
            raise InputError(f"importing it raised {one_line(error)}") from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise NotFoundError("no such file", source=str(path))
    name = f"_nccli_network_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise NotFoundError("this file cannot be imported", source=str(path))
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pickle look there
    with _importable(path.parent):
        call("importing it", found.loader.exec_module, module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder in front of sys.path, where `python file.py` would have it."""
    before = list(sys.path)
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path[:] = before
