"""Imported first: Ctrl-C ends the program at once and without a traceback, even while the rest is being imported."""

import signal
import sys
from pathlib import PurePath

PROGRAMS = (("eventscope",), ("eventscope", "__main__.py"))

# a program that imports a part of this one keeps its own handling of signals
ours = any(PurePath(sys.argv[0]).parts[-len(end) :] == end for end in PROGRAMS)
if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
