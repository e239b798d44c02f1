import jax
import pytest

from purecnn.models import from_torchvision
from tests.models.test_torchvision import SHAPES, shaped


@pytest.mark.parametrize("around", [(), ("state_dict",), ("state_dict_ema", "model"), ("model_state_dict",)])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model._orig_mod."])
def test_a_checkpoint_and_what_wrappers_make_of_it_are_taken(around, prefix):
    arrays = shaped(SHAPES["torchvision"]["resnet18"])
    wrapped = {prefix + name: each for name, each in arrays.items()}
    for name in around:
        wrapped = {"epoch": 3, "optimizer": {"state": {}}, name: wrapped}

    def params(arrays):
        return jax.eval_shape(lambda arrays: from_torchvision("resnet18", arrays)[1], arrays)

    assert params(wrapped) == params(arrays)
