"""Models: functions that return a `Chain`, and torchvision's weights for those that it has."""

from purecnn.models.alexnet import alexnet
from purecnn.models.alexnet_one_tower import alexnet_one_tower
from purecnn.models.cifar_cnn import cifar_cnn
from purecnn.models.convnext import convnext_tiny
from purecnn.models.lenet import lenet
from purecnn.models.mlp import mlp
from purecnn.models.mobilenet_v2 import mobilenet_v2
from purecnn.models.resnet import resnet18, resnet34, resnet50, resnet101
from purecnn.models.resnet_cifar import resnet_cifar
from purecnn.models.torchvision import from_torchvision, to_torchvision
from purecnn.models.vgg import vgg11, vgg11_bn, vgg16, vgg16_bn

__all__ = [
    "alexnet",
    "alexnet_one_tower",
    "cifar_cnn",
    "convnext_tiny",
    "from_torchvision",
    "lenet",
    "mlp",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet_cifar",
    "to_torchvision",
    "vgg11",
    "vgg11_bn",
    "vgg16",
    "vgg16_bn",
]
