"""The book's formulas are LaTeX, as GitHub renders it; on the site they are MathML, which a browser draws by itself.

So no script and no network takes part. `pymdownx.arithmatex` finds the formulas; mkdocs calls `on_page_content`, which
converts each. A formula that does not convert fails the build and is named.
"""

import html
import re
from xml.etree import ElementTree

import latex2mathml.converter
from mkdocs.exceptions import PluginError

# With the bracket before and the punctuation behind it, from which a line must not break it off.
FORMULA = re.compile(r'([(]?)<(span|div) class="arithmatex">\\[(\[]\n?(.*?)\n?\\[)\]]</\2>([.,;:?!)]*)', re.S)
# What the converter writes less well than TeX sets it, and what is put for it.
BETTER = (
    # A bar is a line that stretches: set too high and, over one letter, too wide.
    (
        r'<mover>(<mi[^>]*>[^<]*</mi>|<mrow>.*?</mrow>)<mo stretchy="true">&#x000AF;</mo></mover>',
        r'<mover accent="true">\1<mo stretchy="false">&#x000AF;</mo></mover>',
    ),
    # A minus behind an opening bracket, a comma or another operator is a sign, without room behind it.
    (
        r"(<mo[^>]*>(?:&#x(?:0003D|00028|0002C|000B7|0005B);|[(\[])</mo>(?:<mspace[^>]*>)?<mo)(>&#x02212;)",
        r'\1 form="prefix"\2',
    ),
    (r"<mo>(max|min)</mo>", r"<mi>\1</mi>"),
    ("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>"),
    # Bars and strokes that bracket or divide have no room beside them.
    (
        r"<mo(?: stretchy=\"false\")?>(&#x(?:0002F|0007C|02016|02225);)</mo>",
        r'<mo lspace="0" rspace="0" stretchy="false">\1</mo>',
    ),
    # The brackets of a matrix are as high as itself, not as the highest in the formula.
    (
        r"(<mo>&#x00028;</mo><mtable>(?:(?!</mtable>).)*</mtable><mo>&#x00029;</mo>)",
        r"<mrow>\1</mrow>",
    ),
    ("<mo>&#x0005E;</mo></mover>", '<mo stretchy="false">&#x002C6;</mo></mover>'),
)
NAMED = {"log", "ln", "tanh", "max", "min"}
MATHML = "{http://www.w3.org/1998/Math/MathML}"
ElementTree.register_namespace("", MATHML.strip("{}"))


def on_page_content(content, page, config, files):
    """The page's HTML with MathML for every formula."""

    def converted(match):
        before, tag, latex, after = match.groups()
        display = tag == "div"
        try:
            element = mathml(html.unescape(latex), "block" if display else "inline")
        except ValueError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from error
        if display:  # a wide one scrolls, with the keyboard too
            return f'{before}<div class="equation" tabindex="0">{element}</div>{after}'
        return f'<span class="formula">{before}{element}{after}</span>' if before or after else element

    return FORMULA.sub(converted, content)


def mathml(latex: str, display: str) -> str:
    """`latex` as a `<math>` element. Raises ValueError where the converter does not know a command or leaves one open.

    latex2mathml raises on some faults only: it lets an unknown command and a stray & through as text, and closes braces
    by itself.
    """
    if latex.count("{") != latex.count("}"):
        raise ValueError(f"braces do not match in the formula {latex!r}")
    try:
        element = latex2mathml.converter.convert(latex, display=display)
        texts = ElementTree.fromstring(element).itertext()
    except Exception as error:  # of many types, and ElementTree's own for what is no XML
        raise ValueError(f"{type(error).__name__} in the formula {latex!r}: {error}") from error
    unknown = [text for text in texts if "\\" in text]
    if unknown:
        raise ValueError(f"unknown command {unknown[0]} in the formula {latex!r}")
    for pattern, better in BETTER:
        element = re.sub(pattern, better, element)
    tree = ElementTree.fromstring(element)
    for row in tree.iter(f"{MATHML}mrow"):
        set_named_functions_apart(row)
    return ElementTree.tostring(tree, encoding="unicode")


def set_named_functions_apart(row: ElementTree.Element) -> None:
    """Room behind a factor and in front of a named function, and behind it, unless a bracket opens or closes there."""
    children = list(row)
    for here, after in zip(children, [*children[1:], None], strict=True):
        if after is None or here.tag == f"{MATHML}mspace" or after.tag == f"{MATHML}mspace":
            continue
        if (is_named(here) and after.tag != f"{MATHML}mo") or (is_named(after) and here.tag != f"{MATHML}mo"):
            row.insert(list(row).index(here) + 1, ElementTree.Element(f"{MATHML}mspace", width="0.167em"))


def is_named(element: ElementTree.Element) -> bool:
    """Whether it is the name of a function, or one with a power or an index."""
    raised = element.tag in {f"{MATHML}{kind}" for kind in ("msup", "msub", "msubsup", "munder")}
    return (element[0] if raised else element).text in NAMED
