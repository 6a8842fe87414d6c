"""Runs checks one after the other and tells each: `ok NAME`, or the trace of what was not so."""

import contextlib
import json
import sys
import time
import traceback

from kubernetes.client.exceptions import ApiException

CHECKS = []


def check(function):
    """Marks a function as a check; its name is the sentence that has to hold."""
    CHECKS.append(function)
    return function


def run(*arguments):
    """Runs the checks in the order of the file. Ends the process: with 1 if one of them failed."""
    failed = 0
    for function in CHECKS:
        started = time.monotonic()
        try:
            function(*arguments)
        except Exception:  # Each check tells for itself.
            failed += 1
            print(f"FAILED {function.__name__}\n{traceback.format_exc()}", flush=True)
        else:
            print(f"ok {function.__name__} ({time.monotonic() - started:.2f} s)", flush=True)
    sys.exit(1 if failed else 0)


def same(got, want):
    if got != want:
        raise AssertionError(f"got  {got!r}\nwant {want!r}")


@contextlib.contextmanager
def refused(code, reason, message=None):
    """The block has to fail with this answer, whose body has to be a Status that says the same."""
    try:
        yield
    except ApiException as error:
        status = json.loads(error.body)
        same((error.status, status["kind"], status["code"], status["reason"]), (code, "Status", code, reason))
        if message is not None:
            same(status["message"], message)
    else:
        raise AssertionError(f"no error, want {code} {reason}")


def eventually(what, look, seconds=60):
    """Looks again until there is something; what is seen from outside has no event to wait for."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s, not yet: {what}")
        time.sleep(0.05)
