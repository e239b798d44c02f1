import jax

from purecnn.cli import main
from tests.commands.running import purecnn
from verify.oracle import canary


def test_doctor_says_what_computes_and_that_it_computes_right(tmp_path):
    done = purecnn("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (f"JAX {jax.__version__}", "jaxlib ", "devices: ", "XLA_FLAGS: ", "this backend computes correctly"):
        assert words in done.stdout


def test_doctor_finds_a_sick_backend_and_names_the_repair(monkeypatch, capsys):
    sick = canary.Canary("a product", float("nan"), 0.0, canary.REPAIR)
    monkeypatch.setattr(canary, "canaries", lambda: (sick,))
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "WRONG" in said
    assert "--xla_cpu_experimental_ynn_fusion_type=-reduce" in said
