import os
import signal

import pytest

from purecnn.train.interruption import SIGNALS, graceful_shutdown


@pytest.fixture(autouse=True)
def handlers_restored():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_the_first_signal_is_noted_and_the_second_interrupts(number):
    signal.signal(number, signal.SIG_DFL)
    with graceful_shutdown() as has_come:
        assert not has_come()
        os.kill(os.getpid(), number)
        assert has_come()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_nohup_keeps_a_closing_terminal_from_ending_a_run():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with graceful_shutdown() as has_come:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not has_come()


def test_ctrl_c_is_heard_where_a_shell_has_made_it_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with graceful_shutdown() as has_come:
        os.kill(os.getpid(), signal.SIGINT)
        assert has_come()


def test_once_it_has_come_the_end_of_a_process_raises_nothing_until_all_is_as_before():
    """PyTorch's handler of SIGCHLD raises that a worker has ended."""

    def raises(number, frame):
        raise RuntimeError

    usual = signal.signal(signal.SIGCHLD, raises)
    try:
        with graceful_shutdown():
            with pytest.raises(RuntimeError):
                os.kill(os.getpid(), signal.SIGCHLD)
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) is raises
    finally:
        signal.signal(signal.SIGCHLD, usual)
