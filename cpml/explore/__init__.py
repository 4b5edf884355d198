"""Looking into a map grain by grain: click, card, sliders; notebook 00 is built on it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
