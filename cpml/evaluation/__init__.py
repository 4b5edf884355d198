"""The honest protocol: blocked splits, metrics under missing labels, intervals over blocks, sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
