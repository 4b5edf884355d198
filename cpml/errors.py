"""Errors that a user can act on: each message names the file, the place in it and the remedy."""


class CpmlError(Exception):
    """Base of every error that cpml raises for an input that it cannot use."""


class MapFileError(CpmlError):
    """A microscopy file (EBSD map, HR-DIC field, image, trace table) that cannot
    be read as what it claims to be.
    """


class DatasetError(CpmlError):
    """A data set description, a file that it names, or the catalogue is wrong."""


class ParameterError(CpmlError, ValueError):
    """An argument or notebook parameter outside what the function accepts."""


class BusyError(CpmlError):
    """Another process holds the run that was asked for."""
