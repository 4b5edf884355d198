"""Virtual specimens: the hidden truth of a simulation and the records of its simulated microscope."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
