"""``profile.toml``: what a profile is and where its numbers come from, read with every key checked, and written."""

from __future__ import annotations

from pathlib import Path

from dynaopt.errors import InvalidInputError
from dynaopt.profile import Metadata
from dynaopt.request_class import MIX_PREFIX, REQUEST_CLASSES, CutPoints
from dynaopt.toml_text import read_toml, write_toml


def read_metadata(path: str | Path) -> Metadata:
    """Read ``profile.toml``.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidInputError
        If it is not TOML, a key is missing, unknown or of the wrong kind, or a mix or the cut-points make no sense.
    """
    path = Path(path)
    metadata = read_toml(path, Metadata)
    _check_cuts(path, metadata)
    _check_mixes(path, metadata)
    return metadata


def write_metadata(metadata: Metadata, path: str | Path) -> None:
    """Write ``profile.toml``; the file appears whole or not at all.

    Parameters
    ----------
    metadata
        What to write. Keys that hold their default are written too.
    path
        The file; its folder must exist.
    """
    write_toml(metadata, path)


def _check_cuts(path: Path, metadata: Metadata) -> None:
    try:
        CutPoints(metadata.classes.input_tokens, metadata.classes.output_tokens)
    except InvalidInputError as error:
        key = error.where.removeprefix("cut-points, ")
        raise InvalidInputError(f"{path}, key 'classes.{key}'", expected=error.expected, found=error.found) from None


def _check_mixes(path: Path, metadata: Metadata) -> None:
    names = [mix.name for mix in metadata.mixes]
    for at, mix in enumerate(metadata.mixes):
        where = f"{path}, key 'mixes.{at}"
        if not mix.name.startswith(MIX_PREFIX) or mix.name in names[:at]:
            raise InvalidInputError(
                f"{where}.name'", expected=f"a name of its own that starts with {MIX_PREFIX}", found=f"'{mix.name}'"
            )
        unknown = [name for name in mix.shares if name not in REQUEST_CLASSES]
        if unknown:
            raise InvalidInputError(
                f"{where}.shares'", expected=f"classes out of {', '.join(REQUEST_CLASSES)}", found=f"'{unknown[0]}'"
            )
        total = sum(mix.shares.values())
        if abs(total - 1) > 1e-6:
            raise InvalidInputError(f"{where}.shares'", expected="shares that add up to 1", found=f"{total:g}")
