"""Synthetic maps and map files whose content is known exactly."""

import pytest

from support.maps import nearest_seeds, square_map
from support.nickel import nickel_field


@pytest.fixture(scope="session")
def make_map():
    """The maker of maps from label images."""
    return square_map


@pytest.fixture(scope="session")
def nickel(mirror):
    """Grains and registered field of the nickel data of DefDAP."""
    return nickel_field(mirror)


@pytest.fixture(scope="session")
def voronoi():
    """The maker of label images."""
    return nearest_seeds


@pytest.fixture(scope="session")
def damaged():
    """damaged(data, kind, place, junk) -> bytes: "cut" at any byte, "bytes" overwritten, a digit replaced by
    a long "number", or "noise" after the first bytes; place from 0 to 1.
    """

    def make(data, kind, place, junk):
        at = int(place * len(data))
        if kind == "cut":
            return data[:at]
        if kind == "bytes":
            return data[:at] + junk + data[at + len(junk) :]
        if kind == "number":
            digits = [i for i in range(at, min(at + 2000, len(data))) if data[i : i + 1].isdigit()]
            return data[: digits[0]] + b"987654321987" + data[digits[0] + 1 :] if digits else data[:at]
        return data[: min(at, 512)] + junk * 50

    return make
