"""Profiles on disk: found by name or by folder, read with every curve checked, and written.

`docs/formats.md`, section Profile, describes the files of a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from dynaopt.errors import InvalidInputError, UnknownNameError
from dynaopt.phase_model import PhaseModel, read_phase_file, write_phase_model
from dynaopt.profile import FloatArray, LoadCurve, Metadata, Profile
from dynaopt.profile_toml import read_metadata, write_metadata
from dynaopt.request_class import REQUEST_CLASSES
from dynaopt.tables import Column, place, read_table, write_table

METADATA_FILE = "profile.toml"
LOAD_FILE = "load.csv"
MIX_FILE = "mix.csv"
PHASE_FILE = "phase.toml"
LATENCIES = ("ttft_p50_s", "ttft_p99_s", "tbt_p50_s", "tbt_p99_s")
CURVE_KEY = ["tp", "frequency_mhz", "request_class"]
MIX_KEY = ["tp", "frequency_mhz", "mix", "request_class"]

# In a wheel the profiles lie inside the package, in a checkout beside it.
_ROOTS = (Path(__file__).parent / "profiles", Path(__file__).parents[1] / "profiles")

CurveKey = tuple[int, int, str]
ClassFrames = dict[str, pd.DataFrame]


def list_profiles() -> tuple[str, ...]:
    """Return the names of the profiles that come with the package."""
    return tuple(sorted({file.parent.name for root in _ROOTS for file in root.glob(f"*/{METADATA_FILE}")}))


def read_profile(name_or_dir: str | Path) -> Profile:
    """Read a profile.

    Parameters
    ----------
    name_or_dir
        Name of a profile that comes with the package, or else a folder. A `Path` is always a folder.

    Raises
    ------
    UnknownNameError
        If it is neither.
    MissingFileError
        If a file of the profile is missing.
    InvalidInputError
        If a file breaks the format or contradicts another; with file, line and column.
    """
    folder = find_profile(name_or_dir)
    metadata = read_metadata(folder / METADATA_FILE)
    mix_frames = _read_mix_frames(folder / MIX_FILE, metadata) if metadata.mixes else {}
    curves = {}
    for key, rows in _read_load_frames(folder / LOAD_FILE, metadata).items():
        latencies = _class_latencies(folder, metadata, rows, mix_frames.pop(key, {})) if _is_mix(key) else {}
        curves[key] = _curve(key, rows, latencies)
    _refuse_left_over(folder / MIX_FILE, mix_frames)
    phase_model = _read_phase_model(folder / PHASE_FILE, metadata, curves)
    return Profile(metadata=metadata, curves=curves, sha256=_digest(folder), phase_model=phase_model)


def find_profile(name_or_dir: str | Path) -> Path:
    """Return the folder of a profile.

    Parameters
    ----------
    name_or_dir
        As for `read_profile`.

    Raises
    ------
    UnknownNameError
        If there is none; it lists the names that there are.
    """
    if isinstance(name_or_dir, str) and name_or_dir in list_profiles():
        return next(root / name_or_dir for root in _ROOTS if (root / name_or_dir / METADATA_FILE).is_file())
    folder = Path(name_or_dir)
    if str(name_or_dir) and folder.is_dir():
        return folder
    names = ", ".join(list_profiles()) or "none is installed"
    raise UnknownNameError(
        "profile", expected=f"a folder with a {METADATA_FILE}, or one of: {names}", found=f"'{name_or_dir}'"
    )


def write_profile(profile: Profile, folder: str | Path) -> None:
    """Write a profile into a folder, which is made if it is not there.

    Parameters
    ----------
    profile
        What to write. Numbers keep every digit, so that reading gives the same curves.
    folder
        The folder; files of an earlier profile in it are replaced.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    curves = [profile.curves[key] for key in sorted(profile.curves)]
    write_table(pd.concat([_load_rows(c) for c in curves], ignore_index=True), folder / LOAD_FILE)
    mix_rows = [rows for c in curves for rows in _mix_rows(c)]
    if mix_rows:
        write_table(pd.concat(mix_rows, ignore_index=True), folder / MIX_FILE)
    else:
        (folder / MIX_FILE).unlink(missing_ok=True)
    if profile.phase_model is not None:
        write_phase_model(profile.phase_model, folder / PHASE_FILE)
    else:
        (folder / PHASE_FILE).unlink(missing_ok=True)
    write_metadata(profile.metadata, folder / METADATA_FILE)


def _load_rows(curve: LoadCurve) -> pd.DataFrame:
    values = {name: getattr(curve, name) for name in ("rate_rps", "power_w", *LATENCIES)}
    key = {"tp": curve.tp, "frequency_mhz": curve.frequency_mhz, "request_class": curve.request_class}
    return pd.DataFrame({**key, **values})


def _mix_rows(curve: LoadCurve) -> Iterator[pd.DataFrame]:
    key = {"tp": curve.tp, "frequency_mhz": curve.frequency_mhz, "mix": curve.request_class}
    for name, (ttft, tbt) in curve.class_latencies.items():
        values = {"rate_rps": curve.rate_rps, "ttft_p99_s": ttft, "tbt_p99_s": tbt}
        yield pd.DataFrame({**key, "request_class": name, **values})


def _is_mix(key: CurveKey) -> bool:
    return key[2] not in REQUEST_CLASSES


def _read_load_frames(path: Path, metadata: Metadata) -> dict[CurveKey, pd.DataFrame]:
    columns = (
        Column("tp", "integer", positive=True),
        Column("frequency_mhz", "integer", positive=True),
        Column("request_class", "text", choices=(*REQUEST_CLASSES, *(mix.name for mix in metadata.mixes))),
        Column("rate_rps", minimum=0.0),
        Column("power_w", minimum=0.0),
        *(Column(name, positive=True) for name in LATENCIES),
    )
    frame = read_table(path, columns, key=[*CURVE_KEY, "rate_rps"], keep_places=True)
    for name in ("ttft", "tbt"):
        below = frame[f"{name}_p99_s"] < frame[f"{name}_p50_s"]
        if below.any():
            row = frame[below].iloc[0]
            raise InvalidInputError(
                place(path, _number(frame[below]), f"{name}_p99_s"),
                expected=f"at least {name}_p50_s, {row[f'{name}_p50_s']:g}",
                found=f"{row[f'{name}_p99_s']:g}",
            )
    frames = {}
    for _, rows in frame.groupby(CURVE_KEY, sort=False):
        _check_rates(path, rows)
        frames[_key(rows, "request_class")] = rows
    return frames


def _key(rows: pd.DataFrame, name: str) -> CurveKey:
    first = rows.iloc[0]
    return int(first["tp"]), int(first["frequency_mhz"]), str(first[name])


def _number(rows: pd.DataFrame, at: int = 0) -> int:
    """Tell where a row of a frame stands in its file, for `place`."""
    return int(rows.index.to_numpy()[at])


def _check_rates(path: Path, rows: pd.DataFrame) -> None:
    """Refuse a curve that does not start at load 0, has nothing else, or whose loads do not ascend."""
    rates = rows["rate_rps"].to_numpy(float)
    at = 0
    expected = "0, the unloaded instance, in the first row of the curve"
    if rates[0] == 0:
        falls = np.flatnonzero(np.diff(rates) <= 0)
        if len(rates) > 1 and not falls.size:
            return
        at = int(falls[0]) + 1 if falls.size else 0
        expected = f"a load above {rates[at - 1]:g}, the row before" if falls.size else "a load above 0 after this row"
    found = f"{rates[at]:g}" if at or rates[0] else "none"
    raise InvalidInputError(place(path, _number(rows, at), "rate_rps"), expected=expected, found=found)


def _read_mix_frames(path: Path, metadata: Metadata) -> dict[CurveKey, ClassFrames]:
    """Read what each class sees inside each mix, by the key of the mix's curve and then by class."""
    columns = (
        Column("tp", "integer", positive=True),
        Column("frequency_mhz", "integer", positive=True),
        Column("mix", "text", choices=tuple(mix.name for mix in metadata.mixes)),
        Column("request_class", "text", choices=REQUEST_CLASSES),
        Column("rate_rps", minimum=0.0),
        Column("ttft_p99_s", positive=True),
        Column("tbt_p99_s", positive=True),
    )
    frame = read_table(path, columns, key=[*MIX_KEY, "rate_rps"], keep_places=True)
    frames: dict[CurveKey, ClassFrames] = {}
    for _, rows in frame.groupby(MIX_KEY, sort=False):
        _check_rates(path, rows)
        frames.setdefault(_key(rows, "mix"), {})[str(rows["request_class"].iloc[0])] = rows
    return frames


def _class_latencies(
    folder: Path, metadata: Metadata, load: pd.DataFrame, by_class: ClassFrames
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Take the latencies of the classes in a mix at the loads of its curve; refuse those that do not match."""
    first = load.iloc[0]
    name = f"{first['request_class']} on TP{first['tp']} at {first['frequency_mhz']} MHz"
    shares = next(mix.shares for mix in metadata.mixes if mix.name == first["request_class"])
    for request_class in (c for c, share in shares.items() if share > 0 and c not in by_class):
        raise InvalidInputError(
            str(folder / MIX_FILE), expected=f"rows of {request_class} in {name}, as {LOAD_FILE} has it", found="none"
        )
    latencies = {}
    for request_class, rows in by_class.items():
        place_of_first = place(folder / MIX_FILE, _number(rows))
        if not shares.get(request_class):
            raise InvalidInputError(
                place_of_first, expected=f"a class with a share in {name}", found=f"'{request_class}'"
            )
        if not np.array_equal(rows["rate_rps"], load["rate_rps"]):
            raise InvalidInputError(
                f"{place_of_first} and below", expected=f"the loads that {LOAD_FILE} has for {name}", found="others"
            )
        latencies[request_class] = (rows["ttft_p99_s"].to_numpy(float), rows["tbt_p99_s"].to_numpy(float))
    return latencies


def _refuse_left_over(path: Path, frames: dict[CurveKey, ClassFrames]) -> None:
    for (tp, frequency_mhz, mix), by_class in frames.items():
        row = min(_number(rows) for rows in by_class.values())
        raise InvalidInputError(
            place(path, row),
            expected=f"a mix that {LOAD_FILE} has",
            found=f"{mix} on TP{tp} at {frequency_mhz} MHz",
        )


def _curve(key: CurveKey, rows: pd.DataFrame, latencies: dict[str, tuple[FloatArray, FloatArray]]) -> LoadCurve:
    tp, frequency_mhz, request_class = key
    values = {name: rows[name].to_numpy(float) for name in ("rate_rps", "power_w", *LATENCIES)}
    return LoadCurve(
        tp=tp, frequency_mhz=frequency_mhz, request_class=request_class, class_latencies=latencies, **values
    )


def _read_phase_model(path: Path, metadata: Metadata, curves: Iterable[CurveKey]) -> PhaseModel | None:
    """Read the phase model if there is one; refuse one of something else, or that does not reach every curve."""
    if not path.is_file():
        return None
    phase_model = read_phase_file(path)
    for key in ("model", "gpu"):
        expected, found = getattr(metadata, key), getattr(phase_model, key)
        if found != expected:
            raise InvalidInputError(
                f"{path}, key '{key}'", expected=f"'{expected}', as {METADATA_FILE} has it", found=f"'{found}'"
            )
    reach = f"{phase_model.min_frequency_mhz:g} to {phase_model.max_frequency_mhz:g} MHz"
    for tp, frequency_mhz, _ in curves:
        in_range = phase_model.min_frequency_mhz <= frequency_mhz <= phase_model.max_frequency_mhz
        if tp not in phase_model.tps or not in_range:
            raise InvalidInputError(
                str(path),
                expected=f"the configurations that {LOAD_FILE} has, TP{tp} at {frequency_mhz} MHz among them",
                found=f"TP {', '.join(map(str, phase_model.tps))} at {reach}",
            )
    return phase_model


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (METADATA_FILE, LOAD_FILE, MIX_FILE, PHASE_FILE):
        if (folder / name).is_file():
            digest.update(f"{name}\n".encode())
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
