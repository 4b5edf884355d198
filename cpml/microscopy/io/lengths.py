"""Units of length as files write them, whatever the spelling and the encoding of the mu."""

UNIT_UM = {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "å": 1e-4}
"""Length of each unit, um."""
PIXEL = "px"
_SPELLINGS = {
    **dict.fromkeys(("pix", "pixel", "pixels"), PIXEL),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometre"), "um"),
    **dict.fromkeys(("nanometer", "nanometre"), "nm"),
    "angstrom": "å",
}
# micro sign, Greek mu, and what their two bytes or an escape become when nobody decodes them
_MUS = ("\\u00b5", "\\u03bc", "âµ", "î¼", "µ", "μ")


def length_unit(text: object) -> str | None:
    """ "px" or a length of UNIT_UM for a unit as written; None: no unit of length.

    Examples
    --------
    >>> print(length_unit("Pixel"), length_unit("µm"), length_unit("m/s"))
    px um None
    """
    word = str(text).strip().strip("\x00").lower()
    for mu in _MUS:
        word = word.replace(mu, "u")
    word = _SPELLINGS.get(word, word)
    return word if word == PIXEL or word in UNIT_UM else None


def unit_um(text: object) -> float | None:
    """Length of a unit in um, None for a unit that is no length.

    Examples
    --------
    >>> print(unit_um("nm"), unit_um("pixel"))
    0.001 None
    """
    return UNIT_UM.get(length_unit(text) or "")
