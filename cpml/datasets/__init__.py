"""Data sets: their description, checked; the public catalogue; what was observed in a data set."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
