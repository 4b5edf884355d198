"""One target of the fuzzer, guided by the coverage of cpml and yaml: `python -m fuzzing.guided <target> <s>`.

Started by `fuzzing.session` in a folder of the target, which keeps `corpus` (inputs that reached something
new) and `findings`. libFuzzer ends the process when its time is over, and at a hang, a crash or too much
memory.
"""

import random
import sys
import warnings
from pathlib import Path

HANG_S = 10
"""A reader that takes longer hangs: all inputs are a few kB."""
MEMORY_MB = 2048
LARGEST = 65_536
"""Bytes of an input."""


def main(name: str, seconds: int) -> None:
    """Fuzz; ends this process."""
    import atheris

    # what is imported in here is counted, so nothing of cpml is imported before
    with atheris.instrument_imports(include=["cpml", "yaml"]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fuzzing.mutations import WORDS, mutate
        from fuzzing.session import examine
        from fuzzing.targets import targets

        target = targets()[name]
        for number, seed in enumerate(target.seeds()):
            examine(target, seed)
            (Path("corpus") / f"seed{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        """Examine one input; the first of each kind of finding is kept, with its story."""
        if finding := examine(target, data):
            file = Path("findings") / finding.key
            if not file.exists():
                file.write_bytes(data)
                story = f"{finding.what} ({finding.place})\n\n{finding.trace}"
                file.with_name(file.name + ".txt").write_text(story, encoding="utf-8", errors="replace")

    def mutated(data: bytes, largest: int, seed: int) -> bytes:
        """Damage by lines and fields, or by libFuzzer's own rules."""
        rng = random.Random(seed)
        if target.is_script or rng.random() < 0.5:
            return atheris.Mutate(data, largest)
        return mutate(data, rng)[:largest]

    words = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS if word)
    Path("words").write_text("".join(f'"{word}"\n' for word in words))
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={HANG_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={64 if target.is_script else LARGEST}",
        "-artifact_prefix=findings/",
        "-dict=words",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], *options, "corpus"], once, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(float(sys.argv[2])))
