"""Models, each a screenful: functions that return a `Chain`."""

from purecnn.models.alexnet import alexnet
from purecnn.models.alexnet_one_tower import alexnet_one_tower
from purecnn.models.cifar_cnn import cifar_cnn
from purecnn.models.lenet import lenet
from purecnn.models.mlp import mlp
from purecnn.models.resnet import resnet

__all__ = ["alexnet", "alexnet_one_tower", "cifar_cnn", "lenet", "mlp", "resnet"]
