"""Classifiers of deformation mechanisms per grain: physics alone, learning alone, stacked, and coupled."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
