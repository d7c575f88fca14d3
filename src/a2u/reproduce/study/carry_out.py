"""Train everything, then, once, measure everything."""

import sys
from concurrent.futures import Future

from tqdm import tqdm

from a2u.apply.evaluate_weights import evaluate_weights
from a2u.engine.identity import finished
from a2u.engine.provenance import commit
from a2u.files import BUSY
from a2u.reproduce.executors import InlineExecutor, ProcessExecutor
from a2u.reproduce.launch import Failures, as_ended, at_once_here, fill_caches, report_failures, run_missing
from a2u.reproduce.rows import RowRun
from a2u.reproduce.settings import Launcher, LauncherConfig
from a2u.reproduce.study.failures import note
from a2u.reproduce.study.protocol import TEST, Evaluation, Study, seeds_of_the_protocol
from a2u.reproduce.study.records import by_row, gather, measured_already
from a2u.reproduce.study.report import as_terminal


def carry_out(study: Study) -> int:
    """Run what is missing, print the result; return 0, or 1 where something failed.

    The test images are neither generated nor measured before every row and seed is trained. What failed is added to
    <outputs>/<scale>/failures.json, and done by the next call.

    Raises:
        ConfigError, DataError: before anything is run or written.
    """
    _warn_of_several_commits(study)

    def failed(run: RowRun, reason: str) -> None:
        if not reason.startswith(BUSY):  # of a call that was killed, and whose rows go on without it
            note(study.failures, run, "training", reason)

    done, failures = run_missing(study.runs, study.how, failed)
    absent = [run for run in study.runs if run.hash not in done]
    status = report_failures(failures, len(absent), len(study.runs))
    if absent or not study.whole:
        asked = f"the protocol asks for {seeds_of_the_protocol()} seeds"
        why = "every row and seed is trained first" if absent else asked
        print(f"Nothing was measured on the test images: {why}.", file=sys.stderr)
        return status
    evaluations = [study.evaluation(run, test, done) for test in study.tests for run in study.runs]
    failures = _measure(study, evaluations)
    found = gather(study, done)
    status = report_failures(
        failures, sum(part is None for parts in found.values() for part in parts.values()), len(evaluations)
    )
    if status == 0:
        print(as_terminal(by_row(study, found), study.outputs))
    return status


def _warn_of_several_commits(study: Study) -> None:
    """What cannot be published is told before the hours that it takes. Measuring may be at another commit."""
    (code, dirty), done = commit(), finished(study.outputs)
    others = [run for run in study.runs if run.hash in done and done[run.hash]["provenance"]["commit"] != code]
    if dirty:
        print("warning: there are uncommitted changes: what is run now is not published.", file=sys.stderr)
    if 0 < len(others) < len(study.runs):
        print(
            f"warning: {len(others)} of {len(study.runs)} runs were trained at another commit than {code[:8]}: a "
            "mixture is not published.",
            file=sys.stderr,
        )


def _measure(study: Study, evaluations: list[Evaluation]) -> Failures:
    """Do the evaluations that are not done, several at a time; return why some failed, by their titles."""
    missing = [each for each, result in zip(evaluations, measured_already(evaluations), strict=True) if result is None]
    if not missing:
        return {}
    of_test = [each for each in missing if each.dataset == TEST]
    if of_test:
        fill_caches(of_test[0].cfg.dataset)
    launcher, failures = study.how.launcher, Failures()
    inline = isinstance(launcher, LauncherConfig) and launcher.name is Launcher.inline
    at_once = 1 if inline else at_once_here(study.how.jobs)
    hidden = not sys.stderr.isatty()
    # smoothing 0: the time left is by the mean of all, not by the last ones, which end several at a time
    with (
        tqdm(total=len(missing), unit="evaluation", smoothing=0, disable=hidden, dynamic_ncols=True) as bar,
        InlineExecutor() if inline else ProcessExecutor(at_once, missing[0].cfg.runtime.threads or 1) as executor,
    ):

        def submit(each: Evaluation) -> "Future[str | None]":
            return executor.submit(evaluate_weights, each.cfg, each.run.places.log)

        for each, future in as_ended(missing, at_once, submit, lambda running: bar.refresh()):
            reason = future.result()
            if reason is not None:
                failures[each.title] = reason
                note(study.failures, each.run, each.dataset, reason)
            bar.update(1)
            tqdm.write(f"{'measured ' if reason is None else 'FAILED   '} {each.title}", file=sys.stderr)
    return failures
