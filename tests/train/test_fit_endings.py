"""How a run of `purecnn.train.fit` ends: what the caller's own functions and data raise, and what it returns."""

import errno
import io
import os
import signal

import jax
import pytest

import purecnn
from purecnn import nn
from purecnn.train.fitting import fit
from purecnn.train.progress import RunConsole
from purecnn.train.run_folder import read_metrics
from purecnn.train.stopping import Diverged
from tests.sampling import one_in
from tests.train.test_fitting import NET, QUIET, TRAIN, batches

pytestmark = pytest.mark.usefixtures("a_users_jax", "users_errors")


def test_what_a_function_of_ones_own_raises_loses_no_epoch(tmp_path):
    def stop(line):
        if line["epoch"] == 2:
            raise RuntimeError("enough")

    options = {"epochs": 3, "run_dir": tmp_path / "run", **QUIET}
    with pytest.raises(RuntimeError, match="enough") as caught:
        fit(NET, TRAIN, on_epoch=stop, **options)
    assert caught.value.__notes__ == ["step 20 is saved; resume=True goes on with it"]
    done = fit(NET, TRAIN, resume=True, **options)
    assert [line["step"] for line in done.metrics] == [10, 20, 30]


@pytest.mark.parametrize("given", [True, False])
def test_a_run_whose_reader_has_ended_is_saved_and_says_what_resumes_it(tmp_path, monkeypatch, given):
    class Closed(io.StringIO):
        def write(self, text):
            if "epoch 2/3" in text:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            return super().write(text)

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(BrokenPipeError) as caught:
        fit(NET, TRAIN, epochs=3, run_dir=tmp_path / "run", console=RunConsole(width=200) if given else None)
    command = f"purecnn train --run-dir {tmp_path}/run --resume"
    assert caught.value.__notes__ == [f"step 20 is saved; resume with: {command}"]


def test_ctrl_c_after_the_last_epoch_says_that_all_is_saved(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    options = {"epochs": 1, "run_dir": tmp_path / "run", **QUIET}
    with monkeypatch.context() as patch:
        patch.setattr("purecnn.train.plots.draw_curves", interrupted)
        with pytest.raises(KeyboardInterrupt) as caught:
            fit(NET, TRAIN, **options)
    command = f"purecnn train --run-dir {tmp_path}/run --resume"
    assert caught.value.__notes__ == [f"all epochs are saved, and not tested; {command} does it"]
    assert not fit(NET, TRAIN, resume=True, **options).interrupted


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_program_at_the_end_of_an_epoch_loses_none(tmp_path, ending):
    def stop(line):
        if line["epoch"] == 2:
            raise ending

    options = {"epochs": 3, "run_dir": tmp_path / "run", **QUIET}
    with pytest.raises(type(ending)):
        fit(NET, TRAIN, on_epoch=stop, **options)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir() if path.is_dir()] == ["20"]
    assert [line["step"] for line in fit(NET, TRAIN, resume=True, **options).metrics] == [10, 20, 30]


def test_a_function_of_ones_own_may_change_the_line_that_it_is_given(tmp_path):
    kept = []

    def log(line):  # as wandb.log(line, step=line.pop("step")) does
        kept.append(line.pop("step"))
        line["gradient_norms"].clear()
        line.clear()

    done = fit(NET, TRAIN, on_epoch=log, epochs=2, run_dir=tmp_path / "run", **QUIET)
    assert kept == [line["step"] for line in done.metrics] == [10, 20]
    assert read_metrics(tmp_path / "run") == done.metrics
    assert all(line["gradient_norms"] for line in done.metrics)


def test_a_result_is_shown_in_a_line(tmp_path):
    """As a notebook does with what a cell ends with."""
    shown = repr(fit(NET, TRAIN, epochs=1, run_dir=tmp_path / "run", **QUIET))
    assert len(shown) < 300, shown
    assert str(tmp_path / "run") in shown


def test_of_a_run_that_has_saved_nothing_it_is_said_that_it_begins_anew(tmp_path):
    with pytest.raises(ValueError, match="expected 0 to 9") as caught:
        fit(NET, [(TRAIN[0], TRAIN[1] + 1)], epochs=1, run_dir=tmp_path / "run", **QUIET)
    assert caught.value.__notes__ == ["nothing is saved yet; resume=True begins anew"]


def test_what_a_program_asks_of_jax_for_its_own_code_changes_no_bit(tmp_path):
    options = {"epochs": 1, "schedule": "cosine", "warmup_epochs": 0.5, "optimizer": "adam", **QUIET}
    fit(NET, TRAIN, run_dir=tmp_path / "usual", **options)
    strict = jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), jax.enable_x64(True)
    with strict[0], strict[1], strict[2], jax.disable_jit():
        fit(NET, TRAIN, run_dir=tmp_path / "strict", **options)
    usual, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("usual", "strict"))
    assert usual == other


def test_a_divergence_is_named_with_its_step_also_where_jax_looks_for_nan(tmp_path):
    with jax.debug_nans(True), jax.debug_infs(True), pytest.raises(Diverged, match=r"the loss became .* at step 2; a"):
        fit(NET, TRAIN, epochs=1, run_dir=tmp_path / "run", **(QUIET | {"learning_rate": 1e30}))


def test_a_net_that_ends_with_softmax_is_a_warning(tmp_path):
    net = purecnn.Chain("own", (*NET.layers, nn.softmax()))
    with pytest.warns(UserWarning, match="own ends with softmax, which the loss applies as well: leave it out"):
        fit(net, TRAIN, epochs=1, run_dir=tmp_path / "run", **QUIET)


def test_a_batch_size_beside_batches_is_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="batch_size: got 8, which changes nothing: the batches have 32 images"):
        fit(NET, batches(), epochs=1, batch_size=8, run_dir=tmp_path / "run", **QUIET)


@pytest.mark.parametrize("fault", one_in(2, [RuntimeError("the disk is gone"), "ended"]))
def test_what_iterating_raises_is_raised_and_what_was_trained_by_then_is_saved(tmp_path, fault):
    def broken():
        yield from batches()[:3]
        if isinstance(fault, Exception):
            raise fault

    class Loader:
        def __iter__(self):
            return broken()

        def __len__(self):
            return 10

    data, message = (Loader(), "the disk is gone") if fault != "ended" else (broken(), "an iterator that has ended")
    options = {"epochs": 2, "run_dir": str(tmp_path / "run"), "steps_per_epoch": 10, **QUIET}
    with pytest.raises((RuntimeError, ValueError), match=message) as caught:
        fit(NET, data, **options)
    assert caught.value.__notes__ == ["step 3 is saved; resume=True goes on with it"]
    done = fit(NET, batches(), resume=True, **options)
    assert (done.steps, len(done.metrics)) == (20, 2)


def test_what_iterating_raises_once_ctrl_c_has_come_interrupts_the_run(tmp_path):
    """As a DataLoader does, whose workers Ctrl-C in a terminal ends as well."""

    class Loader(list):
        def __iter__(self):
            yield from self[:3]
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")

    options = {"epochs": 1, "run_dir": tmp_path / "run", **QUIET}
    done = fit(NET, Loader(batches()), **options)
    assert done.interrupted
    assert done.steps <= 3  # batches are taken ahead of the steps
    done = fit(NET, batches(), resume=True, **options)
    assert (done.interrupted, done.steps) == (False, 10)
