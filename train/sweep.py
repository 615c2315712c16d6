"""Sweeps: every combination of the values of some settings, each a run with a name of its own.

A sweep is a table of settings, a list where a setting takes several values:

    data = "digits"
    seed = [0, 1, 2]

    [[sweep]]
    label_smoothing = [0, 0.05, 0.1]

    [[sweep]]
    model = "vit"
    learning_rate = [0.03, 0.1]

Each `[[sweep]]` table stands over what is above all of them; without any the whole is one sweep.
Names are those of `train.config.Settings`, and `preset`. A smoothing above 0 asks for label
smoothing, 0 for cross-entropy, unless `loss` says otherwise; combinations that come to the same
run are made once. A list of numbers is one value of `save_epochs` and of `milestones`, as it is in
run.json; a list of lists, or of texts, is several.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nccli.errors import FormatError, NotFoundError, UsageError
from train.config import Settings
from train.presets import make_settings
from train.words import check_choice

Table = Mapping[str, Any]

LOSSES = {"ce": "cross-entropy", "ls": "label-smoothing"}
MOST_RUNS = 100_000  # more is a mistake: a factor too many
HASH_LENGTH = 8  # hexadecimal digits of a run's name: 2 in a million that two of 100 runs agree
_NAMES = ("preset", *(field.name for field in dataclasses.fields(Settings)))
_KINDS: Mapping[str, Any] = {
    field.name: type(field.default) for field in dataclasses.fields(Settings)
}


def read_sweep(path: Path) -> list[Table]:
    """Return the tables of a TOML file, each over the settings at its top.

    Raises NotFoundError, or FormatError that says where the file is not TOML.
    """
    try:
        with path.open("rb") as file:
            top = tomllib.load(file)
    except OSError as error:
        raise NotFoundError(
            f"cannot be read ({error.strerror or error})", source=path, remedy="check its name"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"is not TOML ({error})", source=path, remedy="write lines like seed = [0, 1]"
        ) from None
    tables = top.pop("sweep", [{}])
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) for t in tables):
        raise FormatError("sweep must be [[sweep]] tables", source=path, remedy="[[sweep]]")
    return [{**top, **table} for table in tables]


def expand(tables: Iterable[Table], *, on_gpu: bool = False) -> list[Settings]:
    """Return the settings of every run of the tables, in their order, each once.

    Raises UsageError on unknown names, and on combinations that cannot be trained.
    """
    found: dict[str, Settings] = {}
    for table in tables:
        for combination in _combinations(table):
            settings = make_settings(on_gpu=on_gpu, **{"precision": "auto"} | combination)
            found.setdefault(content_hash(settings), settings)
            if len(found) > MOST_RUNS:
                raise UsageError(
                    f"more than {MOST_RUNS:,} runs", remedy="sweep over fewer values at once"
                )
    return list(found.values())


def content_hash(settings: Settings) -> str:
    """Return the SHA-256 of what defines a run; runs with the same settings have the same."""
    text = json.dumps(settings.recorded(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sweep_name(settings: Settings) -> str:
    """Return a run's directory in a sweep: `digits-mlp-ls0.05-s0-1f2e3d4c`."""
    return f"{settings.name}-{content_hash(settings)[:HASH_LENGTH]}"


def varied(settings_list: Sequence[Settings]) -> list[str]:
    """Return the names of the settings in which runs differ."""
    records = [settings.recorded() for settings in settings_list]
    names = dict.fromkeys(name for record in records for name in record)
    return [name for name in names if len({json.dumps(record.get(name)) for record in records}) > 1]


def _combinations(table: Table) -> Iterator[dict[str, Any]]:
    for name in table:
        check_choice("setting", name, _NAMES)
    values = [_listed(name, value) for name, value in table.items()]
    for chosen in itertools.product(*values):
        yield _with_loss(dict(zip(table, chosen, strict=True)))


def _listed(name: str, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if _KINDS.get(name) is tuple and not any(isinstance(one, (list, str)) for one in values):
        values = [values]  # as run.json has them: one value of several numbers
    if not values:
        raise UsageError(f"no value for {name}", remedy="give one or several")
    return [_typed(name, one) for one in values]


def _typed(name: str, value: Any) -> Any:
    """A value as its setting has it: TOML's 0 is a number like 0.0, and true is none."""
    kind = _KINDS.get(name, str)
    if kind is tuple:  # epochs and milestones, in the words of the command line
        kind = str
        if isinstance(value, list):
            value = ",".join(map(str, value)) or "none"
        value = str(value) if type(value) in (int, float) else value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UsageError(
            f"{name} must be {_ARTICLES[kind]}, got {value!r}",
            remedy='"0.5,0.75"' if kind is str else "write it without quotes",
        )
    return value


_ARTICLES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _with_loss(given: dict[str, Any]) -> dict[str, Any]:
    """Loss and smoothing that go together."""
    delta = given.get("label_smoothing", 0.0)
    loss = given.get("loss")
    loss = LOSSES.get(loss, loss) if loss else "label-smoothing" if delta else "cross-entropy"
    if loss != "label-smoothing":
        delta = 0.0
    elif "label_smoothing" not in given:
        delta = 0.05  # the paper's
    elif not delta:
        loss = "cross-entropy"
    return given | {"loss": loss, "label_smoothing": delta}


# --- the words of the command line --------------------------------------------------------------


def parse_setting(text: str) -> tuple[str, list[Any]]:
    """Return name and values of `weight_decay=1e-3,2e-3` or `seed=0-4`; raises UsageError."""
    name, equals, words = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise UsageError(f"cannot read '{text}'", remedy="write name=value,value: dropout=0,0.2")
    check_choice("setting", name, _NAMES)
    kind = _KINDS.get(name, str)
    if kind is tuple:
        return name, [words.strip()]
    return name, [one for word in words.split(",") for one in _values(name, kind, word.strip())]


def _values(name: str, kind: Any, word: str) -> list[Any]:
    first, dash, last = word.partition("-")
    try:
        if kind is int and dash and first:
            return list(range(int(first), int(last) + 1))
        if kind is bool:
            return [{"true": True, "false": False}[word.lower()]]
        return [kind(word)]
    except (ValueError, KeyError):
        raise UsageError(f"cannot read {name} '{word}'", remedy=f"give {_ARTICLES[kind]}") from None
