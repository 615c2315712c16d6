"""Which keys do something here and now."""

from __future__ import annotations

from nccli.tui.keys import Key, Scope
from nccli.tui.state import State


def relevant(line: Key, state: State, *, scope: Scope, shown: bool, alone: bool) -> bool:
    """Whether a key does something. `shown`: there are numbers; `alone`: a chart is maximised."""
    if scope == "filter":
        return line.scope == scope
    if line.scope not in ("screen", scope) or state.view.tab not in line.tabs:
        return False
    in_list = scope == "runs"
    needs = {
        "step": len(state.epochs) > 1 and shown,
        "end": len(state.epochs) > 1 and shown,
        "rival": len(state.files_to_show) > 1
        if state.view.tab == "files"
        else len(state.groups) > 2,
        "mode": shown and len(state.groups) > 1,
        "bins": shown,
        "fit": shown,
        "zoom": len(state.epochs) > 2 and shown,
        "level": shown,
        "export": shown,
        "move": shown or in_list,
        "maximise": shown,
        "explain": shown or in_list,
        "log_scale": shown,
        "epochs_log": shown,
        "temperature": shown,
        "command": bool(state.groups),
        "pick": bool(state.matching()),
        "back": bool(in_list or state.filter or alone),
    }
    return needs.get(line.action.partition("(")[0].removeprefix("screen."), True)
