"""reports/<run>/ro-crate-metadata.json: the report as a research object (RO-Crate 1.2).

It says what the data set is and where it comes from (title, citation, licence, inputs with their hashes),
which notebooks were executed with which parameters by which software, and what each of them wrote. Everything
comes from provenance.json and the files that lie there, so equal results are described by equal bytes; there
is no path of the machine in it. A folder reports/<run> is complete by itself: it can go into an archive.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpml import paths
from cpml.datasets.dataset import Dataset
from cpml.files import write_json
from cpml.pipeline import provenance
from cpml.pipeline.runs import parameters_of

if TYPE_CHECKING:
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.file import File
    from rocrate.rocrate import ROCrate

FILE = "ro-crate-metadata.json"
VERSION = "1.2"
_FORMATS = {".ipynb": "application/x-ipynb+json", ".tex": "application/x-tex", ".json": "application/json"}


def write_crate(dataset: Dataset) -> Path:
    """Write and return the description of a run's report from its provenance.json."""
    from rocrate.rocrate import ROCrate

    run = dataset.run_name
    record, crate = provenance.read_record(run), ROCrate(version=VERSION)
    steps = record["steps"]
    _describe(crate, dataset, steps)
    inputs = _inputs(crate, dataset, steps)
    software = _software(crate, steps)
    parameters = _parameters(crate, run)
    files = _files(crate, paths.reports(run), steps)
    for name, entry in steps.items():
        mine = [files[path] for path in sorted(_reports(entry)) if path in files]
        action = {
            "@type": "CreateAction",
            "name": f"Execution of notebooks/{name.partition('_of_')[0]}.ipynb",
            "startTime": entry.get("started", ""),
            "endTime": _end(entry),
        }
        crate.add_action(software, f"#run-{name}", inputs + parameters, mine, properties=action)
    return write_json(paths.reports(run) / FILE, crate.metadata.generate())


def _describe(crate: ROCrate, dataset: Dataset, steps: dict[str, dict]) -> None:
    """What the data set is."""
    root = crate.root_dataset
    root["name"] = f"{dataset.title} ({dataset.tag})" if dataset.tag else dataset.title
    root["description"] = " ".join(
        f"What cpml found in the data set {dataset.name} ({dataset.kind}). {dataset.note}".split()
    )
    # of the results, not of this file: the same results are described by the same bytes
    root["datePublished"] = max((_end(entry) for entry in steps.values()), default="1970-01-01")
    source = {"@type": "CreativeWork", "name": dataset.title, "creditText": dataset.citation}
    licence = _entity(crate, "#licence", {"@type": "CreativeWork", "name": dataset.licence})
    root["license"] = licence
    root["citation"] = _entity(crate, "#data-set", source | {"license": {"@id": "#licence"}})


def _inputs(crate: ROCrate, dataset: Dataset, steps: dict[str, dict]) -> list[ContextEntity]:
    """The raw files: they lie outside, so that they are named, not listed as parts."""
    hashes = {name: sha for entry in steps.values() for name, sha in entry.get("inputs", {}).items()}
    found = []
    for name, path in sorted(dataset.inputs().items()):
        sha = hashes.get(f"raw/{name}")
        content = {
            "@type": "CreativeWork",
            "name": name,
            "contentSize": str(path.stat().st_size),
            **({"sha256": sha} if sha else {}),
            "isPartOf": {"@id": "#data-set"},
        }
        found.append(_entity(crate, f"#input-{len(found) + 1}", content))
    return found


def _software(crate: ROCrate, steps: dict[str, dict]) -> list[ContextEntity]:
    """The package with its revision, Python and the packages below it."""
    import cpml

    versions: dict[str, set[str]] = {}
    for entry in steps.values():
        own = {"Python": entry.get("python")} | dict(entry.get("packages") or {})
        for name, version in own.items():
            versions.setdefault(name, set()).add(str(version))
    revisions = sorted({str((entry.get("git") or {}).get("revision")) for entry in steps.values()} - {"None"})
    about: dict[str, Any] = {
        "@type": "SoftwareApplication",
        "name": "cpml",
        "softwareVersion": cpml.__version__,
    }
    if revisions:
        about["version"] = ", ".join(revisions)
    found = [_entity(crate, "#cpml", about)]
    for name, several in sorted(versions.items()):
        content = {
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": ", ".join(sorted(several)),
        }
        found.append(_entity(crate, f"#software-{name}", content))
    return found


def _parameters(crate: ROCrate, run: str) -> list[ContextEntity]:
    """What was given to the notebooks besides their defaults."""
    return [
        _entity(crate, f"#parameter-{name}", {"@type": "PropertyValue", "name": name, "value": _plain(value)})
        for name, value in sorted(parameters_of(run).items())
    ]


def _files(crate: ROCrate, folder: Path, steps: dict[str, dict]) -> dict[str, File]:
    """What the notebooks wrote into the report and what tells of all of them: path -> entity."""
    hashes = {path: sha for entry in steps.values() for path, sha in _reports(entry).items()}
    shared = [name for name in provenance.SHARED if name != FILE]
    found = {}
    for name in [*shared, *sorted(hashes)]:
        path, follows = folder / name, name in ("index.html", "provenance.json")
        if not follows and not path.is_file():
            continue
        kind = _FORMATS.get(path.suffix) or guess_type(path.name)[0] or "application/octet-stream"
        about = {"name": name, "encodingFormat": kind}
        if not follows:  # the page and the last word of the record are written after this file
            about["contentSize"] = str(path.stat().st_size)
        if name in hashes:
            about["sha256"] = hashes[name]
        found[name] = crate.add_file(path, dest_path=name, properties=about)
    return found


def _reports(entry: dict) -> dict[str, str]:
    """Path below reports/<run> -> hash, of what a step wrote there."""
    artefacts = entry["artefacts"].items()
    return {n.removeprefix("reports/"): sha for n, sha in artefacts if n.startswith("reports/")}


def _entity(crate: ROCrate, identifier: str, content: dict[str, Any]) -> ContextEntity:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties=content))


def _end(entry: dict) -> str:
    """When a step had been executed."""
    try:
        end = datetime.fromisoformat(entry["started"]) + timedelta(seconds=float(entry["duration_s"]))
    except (KeyError, TypeError, ValueError):
        return str(entry.get("started", ""))
    return end.isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
