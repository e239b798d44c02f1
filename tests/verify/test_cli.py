"""The command: its arguments, its exit status, its output."""

import json
import re

import jax.numpy as jnp
import pytest

from verify import cli
from verify.checking import check
from verify.report import html, output

from .faulty_rules.joined import joined, normal

HERE = __name__
FEW = ["--cases", "0", "--devices", "1"]


def square(x, *, power=2):
    """x to a power."""
    return x**power


good = joined(square, lambda args, y, g, power=2: (g * power * args[0] ** (power - 1),))
bad = joined(square, lambda args, y, g, power=2: (g * args[0],))


def run(*words):
    return cli.main([*words, *FEW])


def test_exit_status_says_right_wrong_or_unchecked(capsys):
    assert run(f"{HERE}:good", "f32[3,2]") == 0
    assert run(f"{HERE}:bad", "f32[3,2]") == 1
    assert "×1/2" in capsys.readouterr().out
    assert run(f"{HERE}:good", "i32[3]<5") == 2
    assert run(f"{HERE}:absent", "f32[3]") == 2
    assert "absent" in capsys.readouterr().err
    assert run("no.such.module:rule", "f32[3]") == 2
    assert run(f"{HERE}:good", "nonsense[") == 2


def test_reference_and_options():
    assert run(f"{HERE}:good", "f32[3]", "--reference", f"{HERE}:square", "--option", "power=3") == 0


def test_json_holds_the_report(tmp_path, capsys):
    file = tmp_path / "report.json"
    run(f"{HERE}:bad", "f32[3,2]", "--json", str(file))
    (report,) = json.loads(file.read_text())["reports"]
    assert report["verdict"] == "wrong"
    assert report["failures"][0]["argument"] == "x"
    capsys.readouterr()
    run(f"{HERE}:good", "f32[3,2]", "--json", "-")
    assert json.loads(capsys.readouterr().out)["reports"][0]["ok"] is True


def test_page_is_self_contained_and_shows_where(tmp_path):
    file = tmp_path / "report.html"
    run(f"{HERE}:bad", "f32[3,2]", "--html", str(file))
    text = file.read_text()
    assert "where x is wrong" in text
    assert "background-color: #c80000" in text  # the worst elements' colour in the picture
    assert "the rule says" in text
    assert not re.findall(r"(?:src|href)=", text)


def test_a_page_without_rich_is_refused_before_the_checks_run(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        run(f"{HERE}:bad", "f32[3,2]", "--html", "report.html")
    assert "--html needs rich: pip install rich" in capsys.readouterr().err


def test_not_a_number_survives_json_and_html():
    def nan(args, y, g, power=2):
        return (g * jnp.nan,)

    report = check(joined(square, nan), normal(0, 3), cases=0)
    assert json.loads(output.as_json([report]))["reports"][0]["failures"]
    assert "not finite" in html.as_html([report])


def test_the_plain_table_names_every_check():
    report = check(good, normal(0, 3), cases=0)
    text = output.as_text([report, report])
    assert all(name in text for name in ("gradient", "transforms", "cost"))
    assert text.count("right") == 2
