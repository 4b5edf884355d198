"""cpml: the deformation mechanisms of polycrystals, from crystal plasticity coupled with machine learning.

The names of the stub beside this file load where they are first used, so that ``import cpml`` stays light (no
torch, orix, hyperspy).

>>> import cpml
>>> cpml.load_dataset.__module__
'cpml.datasets.dataset'
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
