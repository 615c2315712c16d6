"""Which array is what, where nobody said: by the names that people use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nccli.errors import UsageError

PARTS: Mapping[str, tuple[str, ...]] = {
    "features": ("features", "feature", "feats", "embeddings", "embedding", "penultimate",
                 "activations", "h", "x"),
    "labels": ("labels", "label", "targets", "target", "classes", "y"),
    "logits": ("logits", "outputs", "output", "scores"),
}  # fmt: skip
CLASSIFIER: Mapping[str, tuple[str, ...]] = {
    "weight": ("weight", "weights", "w"),
    "bias": ("bias", "b"),
}
LAYERS = ("classifier", "fc", "head", "linear", "last_layer", "output_layer", "lm_head")
SPLITS = ("train", "test", "val", "valid", "validation")
_SAME_SPLIT = {"valid": "val", "validation": "val"}


def discover(names: Iterable[str], split: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return {split: {part: name}} and {"weight": name, "bias": name}.

    split: what a part without a split's name belongs to. Raises UsageError where two names could
    be the same thing.
    """
    splits: dict[str, dict[str, str]] = {}
    classifier: dict[str, str] = {}
    for name in names:
        words = [word for word in re.split(r"[/._\s-]+", name.lower()) if word]
        role = _role(words)
        if role is None:
            continue
        part, of = role
        place = classifier if part in CLASSIFIER else splits.setdefault(of or split, {})
        if part in place:
            raise UsageError(
                f"'{place[part]}' and '{name}' could both be the {part}",
                remedy=f"say which: --{part} NAME",
            )
        place[part] = name
    return splits, classifier


def _role(words: list[str]) -> tuple[str, str | None] | None:
    """What a name's words mean: a part, and its split if they tell one."""
    named = [word for word in words if word in SPLITS]
    rest = [word for word in words if word not in SPLITS]
    if len(named) > 1:
        return None
    of = _SAME_SPLIT.get(named[0], named[0]) if named else None
    for part, synonyms in PARTS.items():
        if len(rest) == 1 and rest[0] in synonyms:
            return part, of
    for part, synonyms in CLASSIFIER.items():
        if of is None and rest and rest[-1] in synonyms:
            layer = "_".join(rest[:-1])
            if layer == "" or layer in LAYERS or layer.removeprefix("model_") in LAYERS:
                return part, None
    return None
