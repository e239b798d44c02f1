"""The notebooks run from their first cell to their last, and give the outputs with which they are committed."""

import nbformat
import pytest

from tests.docs.notebooks import NOTEBOOKS, executed, steady, texts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_that_it_shows(path, tmp_path):
    shown = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 150_000
    assert len(texts(shown)) >= 4
    assert texts(executed(path, tmp_path)) == texts(shown), "python -m tests.docs.notebooks writes them anew"


def test_other_words_are_noticed_and_other_numbers_are_not():
    def printed(text):
        return steady({"output_type": "stream", "text": text})

    assert printed("WRONG by 1.64, where 1e-13\n  2.7 s\n") == printed("WRONG by 12, where 3.4\n  11.1 s")
    assert printed("WRONG\n") != printed("RIGHT\n")
    assert steady({"data": {"image/png": "", "text/plain": "<Figure>"}}) == ""
