"""Looking into a map grain by grain: click, card, sliders. Notebook 00 is built on it; nothing else knows it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
