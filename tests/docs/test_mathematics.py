"""Formulas are LaTeX that GitHub renders and that the site's converter knows; whatever it does not know, it names."""

import re
import runpy
from types import SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError

from tests.docs.pages import DOCS, PAGES, name

HOOK = runpy.run_path(str(DOCS / "mathematics.py"))
mathml = HOOK["mathml"]
CODE = re.compile(r"^( *)(`{3,}).*?^\1\2$|`[^`\n]*`|^ +\$ [^\n]*$", re.S | re.M)
DISPLAYED = re.compile(r"^ *\$\$\n(.*?)\n *\$\$$", re.S | re.M)
WITHIN = re.compile(r"\$([^$]+)\$")
# What GitHub takes for the end of a formula within a line, and in front of its beginning.
ALONE = re.compile(r"(?:^|(?<=[\s(|]))\$[^\s$](?:[^$]*[^\s$])?\$(?=[\s.,;:?!)|]|$)", re.M)
# A line that Markdown takes for a list, a heading or a quotation before it looks for formulas.
BLOCK = re.compile(r"^\s*(?:[-+*>#] |\d+[.)] |=+$|-+$|$)", re.M)

# What belongs in a formula: letters with bars, sums and other signs, raised and lowered numbers, Greek letters.
UNICODE = re.compile("[ȳȲ\u0304∂∑Σ∇√≤≥−·⟨⟩∈∞↦⊙½⅓¼¾⅛⅜ᵀ⁰¹²³⁴⁻₀₁₂ₙγλσθΔεμφΦ]")


def formulas(page):
    """(displayed, within a line, the text without code and displayed formulas)"""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    rest = DISPLAYED.sub("", text)
    return DISPLAYED.findall(text), WITHIN.findall(rest), rest


WRITTEN = [page for page in PAGES if any(formulas(page)[:2])]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_formula_converts_and_github_finds_it(page):
    displayed, within, rest = formulas(page)
    for formula in displayed:
        assert mathml(formula, "block").startswith("<math")
        assert not BLOCK.search(formula), formula
    for formula in within:
        assert mathml(formula, "inline").startswith("<math")
    assert [line for line in ALONE.sub("", rest).splitlines() if "$" in line] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_formula_is_left_in_unicode(page):
    rest = WITHIN.sub("", formulas(page)[2])
    assert [line for line in re.sub(r"^    .*$", "", rest, flags=re.M).splitlines() if UNICODE.search(line)] == []


def test_a_formula_in_unicode_is_noticed():
    assert all(UNICODE.search(text) for text in ("x̄ is", "w̄", "10⁻¹¹", "½ of it", "a − b"))
    assert not UNICODE.search("a 3×3 window, 0 to 9, it’s")


def test_the_derivations_are_written_in_formulas():
    assert len([page for page in WRITTEN if page.parent.name == "derivations"]) == len(
        list(DOCS.glob("derivations/*.md"))
    )
    assert sum(len(formulas(page)[0]) for page in WRITTEN) > 60


@pytest.mark.parametrize(
    "formula", [r"\foo x", r"\frac{a", r"\begin{aligned} a &= b \end{aligned}", r"x_", r"\begin{pmatrix} 1 & 2"]
)
def test_a_formula_that_the_converter_does_not_know_is_named(formula):
    with pytest.raises(ValueError, match=re.escape(repr(formula))):
        mathml(formula, "block")


def test_a_formula_that_github_would_not_find_is_noticed():
    for text in ("the $n$-th", "a$x$ b", "$ x$ and", "costs $5"):
        assert "$" in ALONE.sub("", text)
    assert "$" not in ALONE.sub("", "($x$), $\\bar y_i$. | $w$ |")
    assert [bool(BLOCK.search(text)) for text in ("a +\n- b", "a\n\nb", "-a +\n\\sum b")] == [True, True, False]


def test_bars_and_signs_are_set_as_tex_sets_them():
    assert mathml(r"\bar w", "inline").count('<mover accent="true"><mi>w</mi><mo stretchy="false">') == 1
    assert mathml(r"(-1, -2 - 3)", "inline").count('form="prefix"') == 2


def test_named_functions_stand_apart_from_their_factors_and_arguments():
    room = '<mspace width="0.167em" />'
    for formula, expected in {
        r"a \tanh x": f"<mi>a</mi>{room}<mi>tanh</mi>{room}<mi>x</mi>",
        r"\tanh^2 x": f"<msup><mi>tanh</mi><mn>2</mn></msup>{room}<mi>x</mi>",
        r"\max(0, x)": '<mi>max</mi><mo stretchy="false">(</mo>',
        r"-\log y": f"<mo>−</mo><mi>log</mi>{room}<mi>y</mi>",
        r"x_{\max}": "<msub><mi>x</mi><mrow><mi>max</mi></mrow></msub>",
    }.items():
        assert expected in mathml(formula, "inline")


def test_the_site_does_not_build_with_a_formula_that_does_not_convert():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    found = '<p>a (<span class="arithmatex">\\({}\\)</span>), b</p>'
    assert '<span class="formula">(<math' in HOOK["on_page_content"](found.format("x &lt; 1"), page, None, None)
    with pytest.raises(PluginError, match=r"page\.md: unknown command \\foo"):
        HOOK["on_page_content"](found.format(r"\foo"), page, None, None)
