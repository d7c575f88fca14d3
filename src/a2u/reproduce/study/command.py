"""What scripts/study.py does."""

from collections.abc import Sequence

from a2u.reproduce.study.carry_out import carry_out
from a2u.reproduce.study.pilots import pilots
from a2u.reproduce.study.protocol import StudyConfig, parse_request, scale_of
from a2u.reproduce.study.publish import publish
from a2u.reproduce.study.report import write_report


def study(settings: StudyConfig, overrides: Sequence[str]) -> int:
    """Publish the study, or report it, or both; where neither is asked for, carry it out. Likewise its pilots.

    Returns the exit status.

    Raises:
        A2UError: before anything is run or written.
    """
    scale = scale_of(overrides)
    if settings.pilots:
        return pilots(settings, overrides)
    if settings.publish:
        publish(parse_request(settings, overrides))
    if settings.report:
        write_report(scale)
    return 0 if settings.publish or settings.report else carry_out(parse_request(settings, overrides))
