"""Crystal plasticity f_CP: flow laws, single crystals, mean fields, the full field, deformation paths."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
