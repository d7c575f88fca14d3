"""Compose a script's configuration with Hydra, and print an error that the user can fix as one sentence."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import Any, NoReturn, TextIO, cast

import hydra
from omegaconf import DictConfig

from a2u.cli.help import help_text
from a2u.config import CONFIG_DIR, as_typed, compose, refuse_incomplete, store_schemas, with_initial_hash
from a2u.errors import A2UError, printable
from a2u.files import FULL, reason

ADVICE = {
    **dict.fromkeys(FULL, "make room, then give the same command again"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "fix its permissions, or name another place"),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR), "a file lies where a folder is needed: move it, or name another place"
    ),
    errno.ENOENT: "check the path, and whether something removed it meanwhile",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
}
CURSOR = re.compile(r"[\r\n]*(\x1b\[A)+")  # how a second bar of tqdm gets to its line

STOPPED = "stopped"
RESUMES = "stopped; the same command resumes from the last checkpoint"


class PrintableStream:
    """A stream that shows control characters, which names of files may hold, instead of sending them to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # where an encoding lacks a character, such as the ± of a table

    def write(self, text: str) -> int:
        return self._stream.write(text if CURSOR.fullmatch(text) else printable(text, keep="\n\r\t"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def user_errors(stopped: str = STOPPED) -> Iterator[None]:
    """Print an error that the user can fix as one sentence on stderr, and exit with status 2.

    These are A2UErrors and errors of files (OSError); any other is a bug and keeps its traceback. A reader that
    closes the pipe, as `head` does, ends it quietly. SIGTERM, which stops a job of a cluster, ends it as Ctrl-C does.
    An OSError of another thread (TensorBoard's writer) is left to the main one, in which it is raised again.

    stopped: what is said then.
    """
    before, hook = signal.signal(signal.SIGTERM, _interrupt), threading.excepthook
    threading.excepthook = lambda failed: None if issubclass(failed.exc_type, OSError) else hook(failed)
    out, err = (cast(TextIO, PrintableStream(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
            sys.stdout.flush()
        except A2UError as error:
            _stop(str(error))
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to print
            sys.exit(1)
        except OSError as error:
            if error.errno is None:
                raise
            place = os.fsdecode(error.filename2 or error.filename or "a file or standard output")
            _stop(f"{place} cannot be used, {reason(error)}: {ADVICE.get(error.errno, 'check the path')}.")
        except KeyboardInterrupt:
            sys.exit(stopped)
        finally:
            signal.signal(signal.SIGTERM, before)
            threading.excepthook = hook


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stop(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def print_help(about: str | None, config_name: str) -> bool:
    """Print help if the command line asks for it; return whether it does. `about` is the script's docstring."""
    if not {"-h", "--help"} & set(sys.argv):
        return False
    with user_errors():
        overrides = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        print(help_text(about or "", config_name, overrides))
    return True


def main(
    config_name: str, work: Callable[[DictConfig], None], texts: Collection[str] = (), stopped: str = STOPPED
) -> None:
    """Compose configs/<config_name>.yaml with the command line and call `work`.

    Asked for help, print that, beginning with the docstring of the script, in which `work` stands.

    texts: keys whose values are taken as they are typed, without Hydra's grammar.
    stopped: as in `user_errors`.
    """
    sys.argv[1:] = [as_typed(argument, texts) for argument in sys.argv[1:]]
    if print_help(sys.modules[work.__module__].__doc__, config_name):
        return

    def run(cfg: DictConfig) -> None:
        with user_errors(stopped):
            refuse_incomplete(cfg)
            work(with_initial_hash(cfg))

    if any(argument.startswith("-") for argument in sys.argv[1:]):  # a flag of Hydra's, such as --multirun
        store_schemas()
        hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)(run)()
        return
    with user_errors():
        cfg = compose(sys.argv[1:], config_name)
    run(cfg)
