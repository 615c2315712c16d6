"""Words that come from files are data: shown with control characters visible, never obeyed."""

from collections.abc import Mapping

UNKNOWN = "unknown loss"
SIZES = ("B", "kB", "MB", "GB", "TB")


def visible(text: object) -> str:
    """Return `text` as one harmless line: every non-printable character as its escape.

    A terminal escape, a newline in a run name or a bidirectional override comes out as
    `\\x1b`, `\\n` or `\\u202e`; printable characters (accents, Greek, CJK) stay as they are.
    """
    words = str(text)
    if words.isprintable():  # nearly always, and this is asked for every cell of a screen
        return words
    return "".join(_shown(character) for character in words)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def is_seven_bit(environment: Mapping[str, str], encoding: str | None) -> bool:
    """Tell whether a terminal is to be given 7-bit characters only.

    In the C locale Python writes UTF-8 all the same (PEP 540); who asks for that locale does not.
    """
    asked = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG")
                  if environment.get(name)), "")  # fmt: skip
    return asked in ("C", "POSIX") or "utf" not in (encoding or "ascii").lower()


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return `count` with its noun in the right number: `1 file`, `2,000 files`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def file_size(count: int) -> str:
    """Return a number of bytes for people, in powers of a thousand: `1.2 MB`."""
    size = float(count)
    for unit in SIZES[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {SIZES[-1]}"


def shortlist(items: list[int] | list[str], *, limit: int = 5) -> str:
    """Return the first few items and how many more there are: `3, 7, 9 and 4 more`."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit:,} more"


def group_name(loss_name: str | None, delta: float | None) -> str:
    """Return the short name of a loss: CE, LS 0.05, what the file says, or that it does not."""
    if (loss_name is None and delta is None) or (loss_name is not None and not loss_name.strip()):
        return UNKNOWN
    if loss_name == "label-smoothing" or (loss_name is None and delta):
        return "LS" if delta is None else f"LS {delta:g}"
    return "CE" if loss_name in ("cross-entropy", None) else loss_name
