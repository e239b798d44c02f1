"""How options are called in Python, in a shell, and elsewhere."""

import pytest

from purecnn.train.options import in_python, in_shell, named_as_in_python, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: there is no such folder; --data-dir says which", "a: there is no such folder; data says which"),
        ("; did you mean --data-dir a/b c?", "; did you mean data=a/b c?"),
        ("; --data-dir a/train takes it alone", "; data=a/train takes it alone"),
        ("; --max-megapixels 81 reads it; --skip-unreadable leaves out", None),
        ("or --image-size N, which they are brought to", "or image_size=N, which they are brought to"),
        ("; --labels names a table", "; labels names a table"),
        ("resume it with --resume, or", "resume it with resume=True, or"),
        (
            "saved; resume with: purecnn train --run-dir a --resume",
            "saved; resume with: purecnn train --run-dir a --resume",
        ),
    ],
)
def test_an_error_of_fit_names_arguments(text, expected):
    expected = expected or "; max_megapixels=81 reads it; skip_unreadable=True leaves out"
    assert in_python(text) == expected
    assert "data_dir" in in_python("--data-dir says", "data_dir")


def test_the_command_hears_of_its_own_options():
    @named_as_in_python
    def fail():
        raise ValueError("--resume")

    with pytest.raises(ValueError, match=r"^resume=True$"):
        fail()
    with in_shell(), pytest.raises(ValueError, match=r"^--resume$"):
        fail()


def test_a_value_is_shown_in_one_line():
    assert shown({"a": 1}) == "{'a': 1}"
    assert len(shown("a" * 999)) == 81
