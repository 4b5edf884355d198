"""Figures: one style, one function per kind of figure; what draws returns the matplotlib Figure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
