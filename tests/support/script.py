"""Runs a program that is given as text, as `python -c` does: python -m tests.support.script PROGRAM ARGUMENTS"""

import sys

exec(compile(sys.argv.pop(1), "<program>", "exec"), {"__name__": "__main__"})
