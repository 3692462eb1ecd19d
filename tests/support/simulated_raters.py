"""Raters with known preferences, and their answers in the format of Label Studio's exports."""

from __future__ import annotations

import numpy as np


def shown_order(task: dict, order_of_images: list[str]) -> list[str]:
    """Returns the letters of a page's images, in the given order of their URLs."""
    letter_of = {item["html"].split("url(")[1].split(")")[0]: item["id"] for item in task["data"]["pictures"]}
    return [letter_of[url] for url in order_of_images]


def annotation(number: int, rater: int, letters: list[str], left: tuple[str, ...] = (), skipped: bool = False) -> dict:
    """Returns one answer in the format of the export 'JSON'."""
    ranker = {"_": list(left), "best_to_worst": list(letters)}
    result = {
        "value": {"ranker": ranker},
        "id": f"r{number}",
        "from_name": "ranking",
        "to_name": "pictures",
        "type": "ranker",
        "origin": "manual",
    }
    return {
        "id": number,
        "completed_by": rater,
        "result": [] if skipped else [result],
        "was_cancelled": skipped,
        "lead_time": 16.4,
    }


def exported(task: dict, number: int, annotations: list[dict]) -> dict:
    """Returns a task with its answers in the format of the export 'JSON'."""
    return {"id": number, "annotations": annotations, "drafts": [], "predictions": [], "data": task["data"], "meta": {}}


def minimal(tasks: list[dict]) -> list[dict]:
    """Converts an export 'JSON' to 'JSON_MIN': a record for each answer that was not skipped."""
    return [
        {
            **task["data"],
            "id": task["id"],
            "ranking": [result["value"] for result in given["result"]],
            "annotator": given["completed_by"],
            "annotation_id": given["id"],
            "lead_time": given["lead_time"],
        }
        for task in tasks
        for given in task["annotations"]
        if not given["was_cancelled"]
    ]


def plackett_luce(strengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples an order, best first: i precedes j with probability s_i / (s_i + s_j), and is first with s_i / sum(s)."""
    return np.argsort(-(np.log(strengths) + rng.gumbel(size=len(strengths))))
