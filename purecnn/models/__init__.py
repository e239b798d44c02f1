"""Models, each a screenful: functions that return a `Chain`."""

from purecnn.models.cifar import cifar_cnn
from purecnn.models.he_2015 import resnet
from purecnn.models.krizhevsky_2012 import alexnet
from purecnn.models.krizhevsky_2014 import alexnet_one_tower
from purecnn.models.lecun_1998 import lenet
from purecnn.models.perceptron import mlp

__all__ = ["alexnet", "alexnet_one_tower", "cifar_cnn", "lenet", "mlp", "resnet"]
