"""Videos read in a process of their own: one that hangs is killed, and a crash does not end the run.

The process is replaced after CLIPS_OF_A_PROCESS videos, to free memory that decoders leak. It is started by its command
line, not forked, and imports neither torch nor the main program.
"""

from __future__ import annotations

import os
import pickle
import re
import select
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import IO, Any

from ral.data.clip_times import BadRequest
from ral.data.clips import ClipReader
from ral.data.sizes import Frames, MediaSettings
from ral.files import piped

CLIPS_OF_A_PROCESS = 500
START_S = 30.0  # seconds beyond a clip's limit: for the start of the process, and before one that nothing ends is left
INNER = (
    re.compile(r"\[\d+:\d+:\d+\]\s*"),  # the time
    re.compile(r"(?<!\S)\S+\.(?:c|cc|cpp|cu|h|hpp|py|pyx):\d+:?\s*"),  # a line of a source file
    re.compile(
        r"^Check failed:(?:.* \(.* vs\. [^()]*\)|.*(?:[=!<>]=|nullptr)\s*\S*)?\s*"
    ),  # a condition, and the values that broke it
    re.compile(r"^\[Errno -?\d+\]\s*"),
    re.compile(r"^\[/[^\]]*\]\s*"),  # the file, which the message names
    re.compile(r": '[^']*'(?:; last error log.*)?$"),
)
"""Parts of a decoder's error message that are about the decoder's own source, not about the file. They are removed."""
COMMAND = piped.calling("ral.data.decoder.main")


class Decoder:
    """Caller of readers in another process, with the settings' time limit.

    A pickled copy starts a process of its own.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._clips = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_process": None, "_clips": 0}

    def read(self, reader: ClipReader, path: Path, settings: MediaSettings) -> tuple[Frames, float]:
        """Return the result of reader(path, settings): frames [T H W 3] and their length in seconds.

        BadRequest where the reader raises it; ValueError, with the reason, where it raises anything else, crashes, or
        takes longer than settings.timeout_s.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            pickle.dump((self._clips, reader, path, settings), process.stdin)
            process.stdin.flush()
            _await(process.stdout, settings)
            number, answer = pickle.load(process.stdout)
            if number != self._clips:
                raise ValueError("the answer to another request")
        except BaseException as error:  # what is unread of this answer would be the next clip's
            self._process = None
            if isinstance(error, EOFError | BrokenPipeError | pickle.UnpicklingError):
                raise ValueError(_end(process, settings)) from None
            piped.kill(process)
            raise
        if isinstance(answer, BadRequest):
            raise answer
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the process, which is a new one after CLIPS_OF_A_PROCESS videos."""
        self._clips += 1
        if self._process is not None and self._clips > CLIPS_OF_A_PROCESS:
            piped.kill(self._process)
            self._process = None
        if self._process is None:
            self._process = piped.start(COMMAND)
            self._clips = 1
            weakref.finalize(self, piped.kill, self._process)
        return self._process


def _await(answers: IO[bytes], settings: MediaSettings) -> None:
    """Wait until an answer begins or its process ends. ValueError where neither comes in time, as with a lost disk."""
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    if not poll.poll(None if settings.timeout_s is None else 1000 * (settings.timeout_s + START_S)):
        raise ValueError(f"not done after {settings.timeout_s:g} s, nor ended then")


def _end(process: subprocess.Popen[bytes], settings: MediaSettings) -> str:
    """Wait for a process to end; return in words why it gave no answer."""
    piped.close(process)
    try:
        code = process.wait(piped.END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return "ended its answer too early"
    if code == -signal.SIGALRM:
        return f"not done after {settings.timeout_s:g} s"
    return f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"


def reason_of(error: BaseException) -> str:
    """Return the first line of an exception's message, without parts about the reader's own source code.

    For an empty message it is the name of the exception.
    """
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for inner in INNER:
        line = inner.sub("", line)
    return line.strip(" .:;") or "the reader's own check failed"


def main() -> None:
    """Answer requests (number, reader, path, settings) from stdin until it is closed.

    An answer is (number, result); result is the reader's result, a BadRequest, or a text with the reason of another
    error. At the time limit the kernel ends this process: a decoder that hangs in C would not notice anything milder.
    """
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # the run decides when to end, and closes stdin
        signal.signal(ignored, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    answers, errors, nowhere = os.fdopen(os.dup(1), "wb"), os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a library prints must not get between the answers
    while True:
        try:
            number, reader, path, settings = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, settings.timeout_s or 0.0)
        os.dup2(nowhere, 2)  # decoders print, too, what is reported as the reason
        try:
            answer = reader(path, settings)
        except BadRequest as error:
            answer = error
        except Exception as error:  # decoders raise many kinds; the reason is reported
            answer = reason_of(error)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        os.dup2(errors, 2)
        pickle.dump((number, answer), answers, protocol=5)
        answers.flush()
