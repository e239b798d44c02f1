import base64
import io
import re

import numpy as np
from PIL import Image

from purecnn.results import hypertext

HOSTILE = '<script src="https://example.org/x.js">"&\''


def test_words_are_words_and_never_markup():
    pixels = np.zeros((2, 2), np.uint8)
    whole = hypertext.page(
        HOSTILE,
        [
            hypertext.section(
                HOSTILE, hypertext.text(HOSTILE), hypertext.verbatim(HOSTILE), hypertext.facts({HOSTILE: HOSTILE})
            ),
            hypertext.table((HOSTILE,), [(HOSTILE,)]),
            hypertext.gallery([(pixels, (HOSTILE, "b"))]),
        ],
    )
    assert "<script" not in whole
    assert whole.count("&lt;script") == 11  # the title twice, and a gallery's words below and instead of the image


def test_numbers_in_a_table_are_shares_over_a_bar():
    found = hypertext.table(("class", "recall"), [("a", 0.25), ("b", None)])
    assert '<td class="share" style="--part: 25.0%">25.00%</td>' in found
    assert "<td>none</td>" in found


def test_a_gallery_has_every_pixel():
    images = [np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.arange(6, dtype=np.uint8).reshape(3, 2)]
    found = hypertext.gallery([(images[0], ("a", "b")), (images[1], ())])
    assert "<figcaption>a<br>b</figcaption>" in found
    assert found.count("<figcaption>") == 1
    for data, image in zip(re.findall(r'base64,([^"]+)"', found), images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), image)


def test_a_name_from_right_to_left_does_not_turn_what_stands_beside_it():
    assert [hypertext.isolated(name) for name in ("cat", "猫", "")] == ["cat", "猫", ""]
    for name in ("قط", "חתול 2"):
        assert hypertext.isolated(name) == f"\u2068{name}\u2069"
