"""What the first page of a report answers, and which chapter knows it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from cpml.errors import ParameterError


@dataclass(frozen=True)
class Topic:
    """A question of the first page."""

    question: str
    chapter: str  # notebook that answers it


TOPICS = {
    "measured": Topic("What was measured?", "01_ingestion"),
    "frame": Topic("Can the frame be trusted?", "01_ingestion"),
    "footprints": Topic("Which footprints were seen, and how many?", "02e_labels"),
    "mechanisms": Topic("Which mechanisms act, where, and how sure is that?", "04_coupled_models"),
    "strengths": Topic("What was learned, and what does the literature say?", "04_coupled_models"),
    "comparison": Topic("Does the coupling beat each half alone?", "05_evaluation"),
    "design": Topic("Which texture would have the wanted properties?", "06_design"),
    "cautions": Topic("What must not be concluded?", ""),
}
"""Topic -> question, in the order of the page."""


def check_topic(topic: str) -> None:
    """ParameterError for a word that is no topic."""
    if topic not in TOPICS:
        close = get_close_matches(topic, TOPICS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ParameterError(f"topic {topic!r}: {hint}the topics are {', '.join(TOPICS)}")
