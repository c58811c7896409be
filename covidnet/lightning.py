"""The data modules and models as a Lightning Trainer of your own takes them.

They stand here and not in ``covidnet`` itself, where a configuration would call each class by two names.
"""

from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantom_module import PhantomDataModule
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.inception import InceptionV3
from covidnet.models.probe import Probe
from covidnet.training.joining import Joining

__all__ = ["Classifier", "ConvNet", "InceptionV3", "Joining", "PhantomDataModule", "Probe", "RadiographyDataModule"]
