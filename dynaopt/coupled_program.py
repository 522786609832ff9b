"""The whole horizon as one integer program: the oracle for `coupled`, on short horizons.

The windows are written by `formulation`, the links of `link_rows` anew, row by row, so that two readings are held
against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from dynaopt.coupling import Links
from dynaopt.formulation import PoolColumns, Terms, write_window
from dynaopt.linear_model import LinearModel, ModelBuilder
from dynaopt.problem import Problem
from dynaopt.pruning import prune


def formulate_horizon(problems: Sequence[Problem], links: Links) -> LinearModel:
    """Write windows and what ties them together as one program.

    Parameters
    ----------
    problems
        The windows, GPUs without a price, no model with a fixed mix.
    links
        What ties them together.

    Returns
    -------
    LinearModel
        Its objective is that of `coupled`, unused GPUs included.
    """
    scaled = ModelBuilder()
    running = [_add_window(scaled, problem, links, t) for t, problem in enumerate(problems)]
    moves = [_add_moves(scaled, running, links, t) for t in range(len(problems))]
    for t in range(len(problems)):
        _add_limits(scaled, running, moves, links, t)
    unused_w = [problem.num_gpus * problem.unused_gpu_power_w for problem in problems]
    return scaled.build(offset=float(links.weight @ unused_w) * links.window_s)


def _add_window(builder: ModelBuilder, problem: Problem, links: Links, t: int) -> list[Terms]:
    """Add a window, its power counted in the unit of the objective; return the instances of each kind."""
    own = ModelBuilder()
    pools = write_window(own, problem, prune(problem, counts_matter=True))
    first = builder.append(own, cost=float(links.weight[t]) * links.window_s)
    running = [_running(problem, pools, links, k, first) for k in range(links.num_kinds)]
    price_w = float(links.gpu_price_w[t])
    for k, terms in enumerate(running if price_w > 0 else ()):
        for column, _ in terms:
            builder.charge(column, float(links.weight[t]) * links.window_s * price_w * int(links.tp[k]))
    return running


def _running(problem: Problem, pools: Sequence[PoolColumns], links: Links, k: int, first: int) -> Terms:
    model = links.models[int(links.model_of[k])]
    return [
        (first + y, 1.0)
        for columns in pools
        if problem.pools[columns.pruned.pool].model == model
        for s, y in columns.counted()
        if s.option.tp == links.tp[k]
    ]


Moves = tuple[list[int], list[int], list[int]]
"""Columns of starts and stops by kind, and of resharded GPUs by model."""


def _add_moves(builder: ModelBuilder, running: Sequence[Sequence[Terms]], links: Links, t: int) -> Moves:
    weight, fixed = float(links.weight[t]), t == 0 and links.initial is None
    most = 0.0 if fixed else float(links.num_gpus)
    starts, stops = [], []
    for k in range(links.num_kinds):
        cold_j = weight * float(links.cold_j[links.model_of[k]]) * int(links.tp[k])
        starts.append(builder.variable(f"s[{t},{k}]", upper=most, cost=cold_j))
        stops.append(builder.variable(f"q[{t},{k}]", upper=most))
        if fixed:
            continue
        before = [] if t == 0 else [(column, -a) for column, a in running[t - 1][k]]
        given = float(links.initial[k]) if t == 0 and links.initial is not None else 0.0
        terms = [*running[t][k], *before, (starts[k], -1.0), (stops[k], 1.0)]
        builder.row(f"change[{t},{k}]", terms, lower=given, upper=given)
    resharded = []
    for m in range(len(links.models)):
        saved_j = weight * float(links.cold_j[m] - links.reshard_j[m])
        r = builder.variable(f"r[{t},{m}]", upper=most, cost=-saved_j)
        for name, moved in (("taken", starts), ("given_up", stops)):
            gpus = [(moved[k], -float(links.tp[k])) for k in links.of_model(m)]
            builder.row(f"{name}[{t},{m}]", [(r, 1.0), *gpus], upper=0)
        resharded.append(r)
    return starts, stops, resharded


def _add_limits(
    builder: ModelBuilder, running: Sequence[Sequence[Terms]], moves: Sequence[Moves], links: Links, t: int
) -> None:
    gpus = [(column, float(links.tp[k])) for k, terms in enumerate(running[t]) for column, _ in terms]
    for m in range(len(links.models)):
        last = int(links.number[t] + links.start_up_windows[m])
        for u in (u for u in range(t + 1, len(moves)) if links.number[u] <= last):
            gpus += [(moves[u][0][k], float(links.tp[k])) for k in links.of_model(m)] + [(moves[u][2][m], -1.0)]
    builder.row(f"starting[{t}]", gpus, upper=links.num_gpus)
    if links.max_starts is not None:
        builder.row(f"max_starts[{t}]", [(s, 1.0) for s in moves[t][0]], upper=links.max_starts)
    for k in range(links.num_kinds if links.min_up_windows > 1 else 0):
        recent = [(moves[u][0][k], -1.0) for u in range(max(t - links.min_up_windows + 1, 0), t + 1)]
        builder.row(f"min_up[{t},{k}]", [*running[t][k], *recent], lower=0)
