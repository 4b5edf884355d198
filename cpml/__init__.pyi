from . import (
    crystallography as crystallography,
    datasets as datasets,
    design as design,
    errors as errors,
    evaluation as evaluation,
    explore as explore,
    load as load,
    microscopy as microscopy,
    models as models,
    paths as paths,
    pipeline as pipeline,
    plasticity as plasticity,
    plots as plots,
    virtual as virtual,
)
from .datasets.dataset import load_dataset as load_dataset
from .errors import CpmlError as CpmlError
from .pipeline.run import Run as Run, setup as setup

__version__: str
