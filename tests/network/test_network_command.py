"""`nccli hessian --network`: formats, exit codes, charts, and what is said on stderr."""

from __future__ import annotations

import csv
import importlib.util
import io
import json

import pytest
import small_networks

from nccli.cli.network import run_network
from nccli.errors import ContentError, MissingExtraError, NotFoundError, UsageError
from nccli.network import eigenvalues
from nccli.network.report import NetworkReport
from nccli.result import columns

SMALL = f"{small_networks.__file__}:problem"
EXAMPLE = "nccli.network.example:digits"


@pytest.fixture
def call(capsys, monkeypatch):
    """Run it; return (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "80")

    def calling(spec=SMALL, **options):
        given = {
            "curvature": "ggn", "top": 2, "probes": 3, "steps": 8, "seed": 0, "double": False,
            "form": "json", "fail_if": None, "chart": False,
        }  # fmt: skip
        code = run_network(spec, **(given | options))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return calling


def test_json_holds_the_whole_report(call):
    code, out, err = call()
    (row,) = json.loads(out)
    assert (code, err) == (0, "")
    assert set(row) == set(NetworkReport.__dataclass_fields__)
    assert (row["n"], row["num_parameters"], row["num_last_layer"]) == (21, 79, 15)
    assert len(row["spectrum"]) == 2
    assert set(row["spectrum"][0]) == {"value", "low", "high", "last_layer_share"}
    assert set(row["density"][0]) == {"sign", "log10_low", "log10_high", "density", "error"}
    assert row["network"] == SMALL


def test_csv_and_json_hold_the_same_numbers(call):
    (row,) = json.loads(call()[1])
    (line,) = csv.DictReader(io.StringIO(call(form="csv")[1]))
    assert list(line) == columns(NetworkReport)
    assert float(line["lambda_max"]) == row["lambda_max"]
    assert "spectrum" not in line


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "md", "auto", "table"])
@pytest.mark.parametrize("curvature", ["ggn", "hessian"])
def test_every_format_gives_the_same_bytes_twice_and_no_colour(call, form, curvature):
    out = call(form=form, curvature=curvature)[1]
    assert call(form=form, curvature=curvature)[1] == out
    assert "\x1b" not in out
    assert out.endswith("\n")


def test_the_table_fits_80_columns_and_says_what_it_is(call):
    out = call(EXAMPLE, form="table", top=9)[1]
    assert max(map(len, out.splitlines())) <= 80
    for words in (
        *("GGN  float32  N=1,000  last layer '2'", "2,410", "13.7 %", "lambda max", "trace"),
        *("top 9 eigenvectors, by lambda", "in the last layer", "nearest to zero"),
    ):
        assert words in out


def test_the_chart_draws_the_density_below_the_table(call):
    out = call(chart=True, form="auto", curvature="hessian")[1]
    assert "share of the eigenvalues a decade" in out
    assert "λ > 0" in out
    assert "λ < 0" in out
    assert max(map(len, out.splitlines())) <= 80


def test_fail_if_reads_the_fields_before_anything_is_loaded(call):
    code, _, err = call(fail_if="last_layer_share_top < 0.9999")
    assert code == 1
    assert f"{SMALL}: last_layer_share_top < 0.9999 is true" in err
    assert call(fail_if="lambda_max < 0")[0] == 0
    with pytest.raises(UsageError, match="no field 'lambda_maxx'; did you mean lambda_max"):
        call("nothing.py:f", fail_if="lambda_maxx > 1")


def test_what_did_not_converge_is_exit_code_4(call, monkeypatch):
    monkeypatch.setattr(eigenvalues, "RESTARTS", 1)
    monkeypatch.setattr(eigenvalues, "ASKED", 1e-15)
    code, out, err = call(EXAMPLE, top=12, probes=1, steps=2)
    assert code == 4
    assert json.loads(out)[0]["status"] == "not converged"
    assert f"{EXAMPLE}: not converged" in err


def test_what_the_users_code_prints_is_talk(call, tmp_path):
    path = tmp_path / "chatty.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\n\ndef f():\n    print('hello')\n"
        "    return nn.Linear(2, 2), nn.CrossEntropyLoss(), [(torch.eye(2), torch.arange(2))]\n"
    )
    code, out, err = call(f"{path}:f")
    assert code == 0
    assert json.loads(out)[0]["num_parameters"] == 6
    assert "hello" in err


def test_errors_name_the_function(call, tmp_path):
    path = tmp_path / "empty.py"
    path.write_text(
        "from torch import nn\n\n\ndef f():\n"
        "    return nn.Linear(2, 2), nn.CrossEntropyLoss(), []\n"
    )
    with pytest.raises(ContentError, match="the data are empty") as caught:
        call(f"{path}:f")
    assert str(caught.value).startswith(f"{path}:f: the data")
    with pytest.raises(NotFoundError, match=r"empty\.py has no function 'g'; it has: f"):
        call(f"{path}:g")


def test_without_the_extra_the_remedy_is_named(call, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "curvlinops" else found(name, *more),
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'nccli\[network\]'"):
        call()


def test_the_example_lives_mostly_in_its_last_layer(call):
    (row,) = json.loads(call(EXAMPLE, top=9, double=True)[1])
    assert row["num_parameters"] == 2410
    assert row["status"] == "converged"
    assert 0.5 < row["last_layer_share_top"] < 1
    assert 0.5 < row["last_layer_lambda_share"] < 1
    assert row["last_layer_trace_share"] == pytest.approx(0.78, abs=0.1)
