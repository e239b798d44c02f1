import sys
import types

from purecnn.train import notebook


def kernel(monkeypatch, shown):
    """The like of IPython in a notebook's kernel, which keeps what is displayed."""

    class Output:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    monkeypatch.setattr(ipython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()), raising=False)
    monkeypatch.setattr(display, "display", lambda *what, **how: shown.append(what[0]) or Output(), raising=False)
    monkeypatch.setattr(display, "Image", lambda filename: filename, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)


def test_elsewhere_nothing_is_a_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not notebook.in_notebook()


def test_one_output_redraws_itself_and_the_pictures_come_at_the_end(monkeypatch, tmp_path):
    shown = []
    kernel(monkeypatch, shown)
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    assert notebook.in_notebook()
    with notebook.notebook_progress(40, 10) as (advance, say):
        say("epoch 1/2")
        advance(10, loss=0.5, images_per_second=1234.0)
    first, *drawn = shown
    assert first == {"text/plain": ""}
    bar = "step 20/40 " + 15 * "█" + 15 * "░" + " loss 0.5000  1,234 images/s"
    assert drawn == [f"epoch 1/2\n{bar}"] * 2  # once as it goes, once at the end
    (tmp_path / "curves.png").write_bytes(b"")
    notebook.show(tmp_path)
    assert shown[-1] == str(tmp_path / "curves.png")
