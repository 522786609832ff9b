"""What a schedule promises, held against its replay."""

from __future__ import annotations

from dynaopt.replay_result import ReplayResult

PROMISED_SHARE = 0.99
"""The objectives bound the 99th percentile, so that this share of each class's requests is to keep them."""


def broken_promises(result: ReplayResult) -> list[str]:
    """List what a replay found not to be as promised: lost requests, and classes that miss an objective.

    Parameters
    ----------
    result
        Of the replay.

    Returns
    -------
    list of str
        One line each; none if the schedule kept every objective.
    """
    several = result.classes["model"].nunique() > 2  # the row of all requests names none
    lines = []
    for row in result.classes[result.classes["request_class"] != "all"].to_dict("records"):
        name = f"{row['model']}, class {row['request_class']}" if several else f"class {row['request_class']}"
        if row["num_lost"]:
            lines.append(f"{name}: {row['num_lost']:,} of {row['num_requests']:,} requests were lost")
        for short, what in (("ttft", "time to first token"), ("tbt", "time between tokens")):
            share = row[f"{short}_attainment"]
            if share < PROMISED_SHARE:
                kept = f"{share:.2%} of {row['num_requests']:,} requests"
                bound = f"{row[f'{short}_slo_s'] * 1000:,.0f} ms"
                lines.append(f"{name}: {kept} kept a {what} of {bound}, {PROMISED_SHARE:.0%} were to")
    return lines
