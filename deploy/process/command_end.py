"""The end of a command on files: each way to end has its exit code, and none waits for a server that is mute."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from types import FrameType
from typing import Any, Final, TypeVar

import click

from deploy.output.printable import printable
from deploy.process.part_process import EXIT_SETTINGS
from schemas.errors import CallweaveError, SettingsError

EXIT_COULD_NOT: Final = 2
EXIT_CRASHED: Final = 70
EXIT_STOPPED: Final = 130
EXIT_ENDED: Final = 143
T = TypeVar("T")


def could_not(command: Callable[..., Any]) -> Callable[..., Any]:
    """Reports an expected failure as one sentence, with the exit code of a run that could not be.

    No failure of any kind may end with the code that says that records differ.
    """

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        # What is on disk for the time of the run has phone numbers: it is removed by the way of an exception.
        before = signal.signal(signal.SIGTERM, _ended)
        try:
            return command(*args, **kwargs)
        except SettingsError as exc:
            _say(f"settings: {exc}")
            sys.exit(EXIT_SETTINGS)
        except CallweaveError as exc:
            _say(str(exc))
            sys.exit(EXIT_COULD_NOT)
        except click.Abort:
            _say("nothing was done")
            sys.exit(EXIT_COULD_NOT)
        except (KeyboardInterrupt, _Ended) as exc:
            _say("stopped: say it again, and what was done until now is not done twice")
            sys.stdout.flush()
            # At a usual end the interpreter waits for threads, and one may wait for a server that never answers.
            os._exit(EXIT_ENDED if isinstance(exc, _Ended) else EXIT_STOPPED)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as exc:  # noqa: BLE001 - it is told, and ends the process
            sys.excepthook(type(exc), exc, exc.__traceback__)
            sys.exit(EXIT_CRASHED)
        finally:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)

    return wrapped


def _say(sentence: str) -> None:
    click.echo(printable(f"callweave: {sentence}", keep="\n"), err=True)


class _Ended(BaseException):
    """A SIGTERM."""


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


class _Threads(ThreadPoolExecutor):
    """Threads that nobody waits for: a server that does not answer must not hold a person who says stop."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as the library has it
        """Returns at once."""
        super().shutdown(wait=False, cancel_futures=True)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs work to its end, or until it is stopped; what it has on disk is removed in both cases."""

    async def in_threads() -> T:
        asyncio.get_running_loop().set_default_executor(_Threads())
        return await work

    return asyncio.run(in_threads())
