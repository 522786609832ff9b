"""Fit the phase model that the package ships to the raw measurements.

    python scripts/fit_phase_model.py ../shared/data ../shared/reference [--out dynaopt/data]

starts from `scripts/phase/llama2-70b-h100.toml` (what is known beforehand, first guesses, and where each number comes
from) and writes the reference points (`reference/llama2-70b-h100/*.csv`, means over repeats) and the coefficients
(`phase/llama2-70b-h100.toml`). The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from dynaopt.phase_fit import weight_read_efficiency
from dynaopt.phase_model import PhaseModel
from dynaopt.phase_power_fit import fit_phase_model, infer_prompt_tokens
from dynaopt.phase_reference import ReferencePoints, derive_points

DRAFTS = Path(__file__).parent / "phase"
NAME = "llama2-70b-h100"
SIGNIFICANT_DIGITS = 6
SPLITWISE = "splitwise-sim, perf_model.csv, H100, Llama2-70B (Patel et al., Splitwise, ISCA 2024)"
MLENERGY = "ML.ENERGY leaderboard data, lm-arena-chat on H100"
PAPER_TABLE = "dynamollm_table1_llama2_70b_2000tps.csv"
DYNAMOLLM = "Stojkovic et al., DynamoLLM, HPCA 2025"
HEADERS = {
    "prefill": f"Time of one prefill, mean over repeats. Source: {SPLITWISE}; licence: MIT, (c) 2024 Pratyush Patel",
    "token": f"Decode step at 512 prompt tokens, mean. Source: {SPLITWISE}; licence: MIT, (c) 2024 Pratyush Patel",
    "serving": f"Servers kept full. Source: {MLENERGY}, Llama-3.1-70B and 3.3-70B on 4 GPUs; licence: Apache-2.0",
    "halved": f"Median decode step on one GPU and on two. Source: {MLENERGY}; licence: Apache-2.0",
    "power": f"Power of 8 GPUs at 2 GHz against tokens in parallel. Source: {DYNAMOLLM}, figure 3 (a published fact)",
    "clock": "Exponents with the clock, measured on an L20; those up to batch 64 were given as a range, as was prefill",
}


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


def write_points(points: ReferencePoints, folder: Path) -> None:
    """Write the reference points, each file with its source and licence in the first line."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(points):
        frame: pd.DataFrame = getattr(points, field.name)
        table = frame.to_csv(index=False, lineterminator="\n")
        (folder / f"{field.name}.csv").write_text(f"# {HEADERS[field.name]}\n{table}", encoding="utf-8")


def write_paper_table(source: Path, target: Path) -> None:
    """Copy the published table, without its own comment, with its source in the first line."""
    table = pd.read_csv(source, comment="#", dtype=str).to_csv(index=False, lineterminator="\n")
    target.write_text(f"# Energies are relative weights. Source: {DYNAMOLLM}, table I (published facts)\n{table}")


def main() -> None:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(description="Fit the phase model of Llama2-70B on H100.")
    parser.add_argument("data", type=Path, help="folder with splitwise/ and mlenergy/")
    parser.add_argument("reference", type=Path, help="folder with dynamollm_fig3_power.csv")
    parser.add_argument("--out", type=Path, default=Path("dynaopt/data"))
    options = parser.parse_args()
    points = derive_points(options.data, options.reference)
    write_points(points, options.out / "reference" / NAME)
    write_paper_table(options.reference / PAPER_TABLE, options.out / "reference" / NAME / "table1.csv")
    draft = PhaseModel.model_validate(tomllib.loads((DRAFTS / f"{NAME}.toml").read_text(encoding="utf-8")))
    model = rounded(fit_phase_model(draft, points))
    (options.out / "phase").mkdir(exist_ok=True)
    (options.out / "phase" / f"{NAME}.toml").write_text(document(model), encoding="utf-8")
    print(f"mean prompt of the full servers: {infer_prompt_tokens(model, points.serving):.0f} tokens")
    print(f"weights are read at {weight_read_efficiency(points.halved):.0%} of the bandwidth")


def _rounded(part: Mapping[str, float]) -> dict[str, float]:
    return {key: float(f"{value:.{SIGNIFICANT_DIGITS}g}") for key, value in part.items()}


if __name__ == "__main__":
    main()
