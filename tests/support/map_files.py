"""Map files of a few points, written line by line: phi1 = 10 + 10 y + x degrees (x, y in points)."""

import numpy as np

ROWS, COLS = 4, 6
PHASE = "3.52;3.52;3.52\t90;90;90\tNickel\t11\t225"


def points(rows=ROWS, cols=COLS):
    """Column, row and phi1 (deg) of every point, row by row."""
    row, col = np.divmod(np.arange(rows * cols), cols)
    return col, row, 10.0 + 10.0 * row + col


def ctf(path, x, y, phi1, *, size=(COLS, ROWS), step=(1.0, 1.0), more="", column="", values=None):
    """A .ctf of points at x, y with the angles (phi1, 20, 30) deg."""
    values = [""] * len(x) if values is None else [f"\t{v}" for v in values]
    lines = [
        *("Channel Text File", "Prj\tp", "JobMode\tGrid"),
        *(f"XCells\t{size[0]}", f"YCells\t{size[1]}", f"XStep\t{step[0]}", f"YStep\t{step[1]}"),
        *([more] if more else []),
        *("AcqE1\t0", "AcqE2\t0", "AcqE3\t0", "Phases\t1", PHASE),
        "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS" + column,
        *(
            f"1\t{a:.6g}\t{b:.6g}\t8\t0\t{p:.4f}\t20\t30\t0.5\t100\t200{v}"
            for a, b, p, v in zip(x, y, phi1, values, strict=True)
        ),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def ang(
    path, x, y, phi1, *, rows=ROWS, odd=COLS, even=COLS, step=(1.0, 1.0), grid="SqrGrid", ci=None, angles=None
):
    """An .ang of the same points."""
    ci = np.full(len(x), 0.9) if ci is None else ci
    angles = np.radians(np.stack([phi1, 0 * phi1 + 20, 0 * phi1 + 30], 1)) if angles is None else angles
    header = (
        "# Phase 1\n# MaterialName  Nickel\n# Symmetry 43\n# LatticeConstants 3.52 3.52 3.52 90 90 90\n"
        f"# GRID: {grid}\n# XSTEP: {step[0]}\n# YSTEP: {step[1]}\n# NCOLS_ODD: {odd}\n# NCOLS_EVEN: {even}\n"
        f"# NROWS: {rows}\n"
    )
    lines = [
        f"{e[0]:.5f} {e[1]:.5f} {e[2]:.5f} {a:.6f} {b:.6f} 100 {c:.3f} 1"
        for a, b, e, c in zip(x, y, angles, ci, strict=True)
    ]
    path.write_text(header + "\n".join(lines) + "\n")
    return path


def crc(path, x, y, phi1, *, size=(COLS, ROWS), step=(1.0, 1.0)):
    """A .crc/.cpr pair of the same points."""
    record = np.dtype([("phase", "u1"), *((k, "<f4") for k in ("x", "y", "e1", "e2", "e3")), ("error", "u1")])
    data = np.zeros(len(x), record)
    data["phase"], data["x"], data["y"], data["e1"] = 1, x, y, np.radians(phi1)
    data["e2"], data["e3"] = np.radians(20), np.radians(30)
    data.tofile(path)
    fields = "".join(f"Field{i + 1}={code}\n" for i, code in enumerate((1, 2, 3, 4, 5, 11)))
    cell = "a=3.52\nb=3.52\nc=3.52\nalpha=90\nbeta=90\ngamma=90\n"
    path.with_suffix(".cpr").write_text(
        f"[Job]\nxCells={size[0]}\nyCells={size[1]}\nGridDistX={step[0]}\nGridDistY={step[1]}\n"
        f"[Acquisition Surface]\nEuler1=0\nEuler2=0\nEuler3=0\n[Fields]\nCount=6\n{fields}"
        f"[Phases]\nCount=1\n[Phase1]\nStructureName=Nickel\n{cell}LaueGroup=11\nSpaceGroup=225\n"
    )
    return path


def text(path, x, y, phi1, **_):
    """A table of the same points."""
    rows = "\n".join(f"{a:.6g},{b:.6g},{p:.4f},20,30" for a, b, p in zip(x, y, phi1, strict=True))
    path.write_text("x (um),y (um),phi1,Phi,phi2\n" + rows + "\n")
    return path


def said(ebsd_map):
    """The notes of a map in one line."""
    return " | ".join(ebsd_map.frame_note)
