"""Rules of the source that keep words from files inert, and files from running anything."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "nccli").rglob("*.py"), *(ROOT / "train").rglob("*.py")])

# These take [markup] in a str unless told otherwise.
MARKED_UP = {"Static", "Label", "Button", "Checkbox", "RadioButton", "Collapsible", "Console",
             "TextColumn", "notify", "Tab", "TabPane"}  # fmt: skip
NEVER = {"eval", "exec", "literal_eval", "from_markup", "Unpickler"}
NO_IMPORT = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "socket", "yaml",
             "urllib.request", "http", "requests", "ftplib", "smtplib")  # fmt: skip
# Only between processes of our own, and a scheduler that the user names with --scheduler.
MAY_IMPORT = {
    ("nccli/jobs.py", "pickle"),
    ("nccli/cluster/rows.py", "pickle"),
    ("nccli/cluster/connection.py", "socket"),
    ("train/extract/models.py", "pickle"),  # the name of its error
}


def broken(rule):
    """Where in the source a rule is broken: "file:line: code"."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = str(path.relative_to(ROOT))
            if rule(node, name):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)[:80]}")
    return found


def called(node):
    """The name of what is called, without what it belongs to."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def is_set(node, name, value):
    """Whether a call gives a keyword that constant."""
    return any(
        one.arg == name and isinstance(one.value, ast.Constant) and one.value.value is value
        for one in node.keywords
    )


def takes_markup(node, _=""):
    if called(node) is None:
        return False
    if is_set(node, "markup", True):
        return True
    return called(node) in MARKED_UP and not is_set(node, "markup", False) and says_words(node)


def says_words(node):
    """Whether what is shown may be a str from elsewhere: it is neither literal nor a Text."""
    return not all(
        isinstance(one, ast.Constant) or (called(one) or "").lower().endswith("text")
        for one in node.args
    )


def runs_a_file(node, _=""):
    if called(node) is None:
        return False
    if called(node) in NEVER:  # a method eval() is torch's
        return not (called(node) == "eval" and isinstance(node.func, ast.Attribute))
    if ast.unparse(node.func) == "torch.load" and not is_set(node, "weights_only", True):
        return True
    return is_set(node, "allow_pickle", True) or is_set(node, "shell", True)


def reaches_out(node, path=""):
    names = []
    if isinstance(node, ast.Import):
        names = [one.name for one in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return any(
        (name + ".").startswith(tuple(f"{one}." for one in NO_IMPORT))
        and (path, name) not in MAY_IMPORT
        for name in names
    )


def test_words_are_never_taken_for_markup():
    assert broken(takes_markup) == []


def test_no_file_is_ever_run():
    assert broken(runs_a_file) == []


def test_nothing_unpickles_or_reaches_for_the_network():
    assert broken(reaches_out) == []


def test_the_rules_see_what_they_forbid():
    """The control."""

    def first(code):
        node = ast.parse(code).body[0]
        return node.value if isinstance(node, ast.Expr) else node

    for code in ("Static(name)", "f(markup=True)", "app.notify(f'{x}')"):
        assert takes_markup(first(code))
    for code in ("Static(Text(name))", "Static(name, markup=False)", "Static()"):
        assert not takes_markup(first(code))
    for code in ("eval(x)", "torch.load(f)", "run(x, shell=True)", "np.load(f, allow_pickle=True)"):
        assert runs_a_file(first(code))
    for code in ("network.eval()", "torch.load(f, weights_only=True)"):
        assert not runs_a_file(first(code))
    for code in ("import pickle", "from urllib.request import urlopen", "import http.client"):
        assert reaches_out(first(code))
    for code in ("import pickletools", "from urllib.parse import urlsplit"):
        assert not reaches_out(first(code))
