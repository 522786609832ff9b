"""Fit the phase models that the package ships to the raw measurements.

    python scripts/fit_phase_model.py ../shared/data ../shared/reference [NAME…] [--out dynaopt/data]

starts from `scripts/phase/NAME.toml` (what is known beforehand, first guesses, which raw rows are used, how it is
fitted, and where each number comes from) and writes the reference points (`reference/NAME/*.csv`, means over repeats),
the options of the fit (`reference/NAME/fit.toml`) and the coefficients (`phase/NAME.toml`). The same input gives the
same bytes.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dynaopt.fit_options import FitOptions
from dynaopt.phase_fit import read_efficiency
from dynaopt.phase_model import PhaseModel, read_phase_file
from dynaopt.phase_power_fit import fit_phase_model, infer_prompt_tokens
from dynaopt.phase_reference import FORMATS, OPTIONS_FILE, ReferencePoints
from dynaopt.phase_sources import Sources, derive_points
from dynaopt.toml_text import write_toml

DRAFTS = Path(__file__).parent / "phase"
# In the order in which they are fitted: the powers of some are those of others.
NAMES = (
    "llama2-70b-h100",
    "llama2-70b-a100",
    "bloom-176b-h100",
    "bloom-176b-a100",
    "llama-3.1-70b-h100",
    "llama-3.1-70b-b200",
)
SIGNIFICANT_DIGITS = 6
SPLITWISE = "splitwise-sim, perf_model.csv, {splitwise} (Patel et al., Splitwise, ISCA 2024)"
MLENERGY = "ML.ENERGY leaderboard data, lm-arena-chat on {gpu}"
PAPER_TABLE = "dynamollm_table1_llama2_70b_2000tps.csv"
DYNAMOLLM = "Stojkovic et al., DynamoLLM, HPCA 2025"
HEADERS = {
    "prefill": f"Time of one prefill, mean over repeats. Source: {SPLITWISE}; licence: MIT, (c) 2024 Pratyush Patel",
    "token": f"Decode step at 512 prompt tokens, mean. Source: {SPLITWISE}; licence: MIT, (c) 2024 Pratyush Patel",
    "serving": f"Servers kept full. Source: {MLENERGY}, {{served}}; licence: Apache-2.0",
    "halved": f"Median decode step on one GPU and on two. Source: {MLENERGY}; licence: Apache-2.0",
    "sizes": f"Median decode step of models on one GPU. Source: {MLENERGY}; licence: Apache-2.0",
    "power": f"Power of 8 GPUs at 2 GHz against tokens in parallel. Source: {DYNAMOLLM}, figure 3 (a published fact)",
    "steps": f"Power of prefills and of decode steps. Source: {SPLITWISE}; licence: MIT, (c) 2024 Pratyush Patel",
    "clock": "Exponents with the clock, measured on an L20; those up to batch 64 were given as a range, as was prefill",
}


class Draft(NamedTuple):
    """What is known of a phase model beforehand: facts and first guesses, where points come from, how it is fitted."""

    model: PhaseModel
    sources: Sources
    options: FitOptions
    labels: Mapping[str, str]


def read_draft(name: str) -> Draft:
    """Read ``phase/NAME.toml``."""
    content = tomllib.loads((DRAFTS / f"{name}.toml").read_text(encoding="utf-8"))
    sources = Sources.model_validate(content.pop("sources"))
    options = FitOptions.model_validate(content.pop("fit"))
    labels = {"gpu": sources.gpu} | content.pop("labels")
    return Draft(PhaseModel.model_validate(content), sources, options, labels)


def rounded(model: PhaseModel) -> PhaseModel:
    """Return the model with numbers as they stand in its file, so that the same file comes from any machine."""
    content = model.model_dump()
    content["power"] = _rounded(content["power"])
    content["latency"] = {tp: _rounded(part) for tp, part in content["latency"].items()}
    return PhaseModel.model_validate(content)


def document(model: PhaseModel) -> str:
    """Return a phase model as TOML."""
    content = model.model_dump()
    lines = [f"{key} = {json.dumps(value)}" for key, value in content.items() if not isinstance(value, dict | tuple)]
    sections: list[tuple[str, Mapping[str, Any]]] = [("[memory]", content["memory"]), ("[power]", content["power"])]
    sections += [(f"[latency.{tp}]", part) for tp, part in content["latency"].items()]
    sections += [("[[provenance]]", row) for row in content["provenance"]]
    for title, part in sections:
        lines += ["", title, *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in part.items())]
    return "\n".join(lines) + "\n"


def write_points(points: ReferencePoints, folder: Path, labels: Mapping[str, str]) -> None:
    """Write the points there are, each file with source and licence in its first line, and the options of the fit."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FORMATS:
        frame: pd.DataFrame = getattr(points, name)
        if len(frame):
            header = HEADERS[name].format_map(defaultdict(str, labels))
            table = frame.to_csv(index=False, lineterminator="\n")
            (folder / f"{name}.csv").write_text(f"# {header}\n{table}", encoding="utf-8")
    write_toml(points.options, folder / OPTIONS_FILE)


def write_paper_table(source: Path, target: Path) -> None:
    """Copy the published table, without its own comment, with its source in the first line."""
    table = pd.read_csv(source, comment="#", dtype=str).to_csv(index=False, lineterminator="\n")
    target.write_text(f"# Energies are relative weights. Source: {DYNAMOLLM}, table I (published facts)\n{table}")


def fit(name: str, data: Path, reference: Path, out: Path) -> PhaseModel:
    """Fit one phase model and write it, and the points that it is fitted to."""
    draft = read_draft(name)
    points = derive_points(data, reference, draft.sources, draft.options)
    write_points(points, out / "reference" / name, draft.labels)
    if draft.sources.figure:
        write_paper_table(reference / PAPER_TABLE, out / "reference" / name / "table1.csv")
    source = draft.options.power_of
    power_of = read_phase_file(out / "phase" / f"{source}.toml") if source else None
    model = rounded(fit_phase_model(draft.model, points, power_of))
    (out / "phase").mkdir(exist_ok=True)
    (out / "phase" / f"{name}.toml").write_text(document(model), encoding="utf-8")
    tell(model, points)
    return model


def tell(model: PhaseModel, points: ReferencePoints) -> None:
    """Print what the fit says beside the coefficients."""
    print(model.name)
    if len(points.serving):
        print(f"  mean prompt of the full servers: {infer_prompt_tokens(model, points.serving):.0f} tokens")
    if len(points.halved) or len(points.sizes):
        print(f"  weights are read at {read_efficiency(points):.0%} of the bandwidth")
    for tp in model.tps:
        print(f"  TP{tp}: {model.kv_capacity_tokens(tp):,} tokens of KV cache")


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description="Fit phase models to measurements.")
    parser.add_argument("data", type=Path, help="folder with splitwise/ and mlenergy/")
    parser.add_argument("reference", type=Path, help="folder with dynamollm_fig3_power.csv")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; by default {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, default=Path("dynaopt/data"))
    options = parser.parse_args()
    for name in options.names or NAMES:
        fit(name, options.data, options.reference, options.out)


def _rounded(part: Mapping[str, float]) -> dict[str, float]:
    return {key: float(f"{value:.{SIGNIFICANT_DIGITS}g}") for key, value in part.items()}


if __name__ == "__main__":
    main()
