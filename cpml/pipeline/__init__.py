"""Notebooks as a chain: runs, steps, provenance, reports, the comparison of data sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
