"""Faulty profiles: the tiny one with one file replaced by a file that is named for its fault."""

import shutil
from pathlib import Path

DATA = Path(__file__).parent / "data"
TINY = DATA / "profiles" / "tiny"
FAULTS = tuple(sorted(path.name for path in (DATA / "profile_faults").iterdir()))


def faulty_profile(fault: str, folder: Path) -> Path:
    """Make a profile folder in which the file ``<file>-<Fault>.<ending>`` stands in for ``<file>.<ending>``."""
    made = folder / "faulty"
    shutil.copytree(TINY, made)
    stem, _, rest = fault.partition("-")
    shutil.copyfile(DATA / "profile_faults" / fault, made / f"{stem}{Path(rest).suffix}")
    return made
