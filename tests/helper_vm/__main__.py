"""`python -m tests.helper_vm COMMAND...`: a command in the helper VM, its output and its exit code."""

import shlex
import sys

from tests import helper_vm


def main() -> int:
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} COMMAND...  (one word is a shell script)")
    reason = helper_vm.why_not()
    if reason:
        sys.exit(f"the helper VM cannot run here: {reason}")
    words = sys.argv[1:]
    finished = helper_vm.run(words[0] if len(words) == 1 else shlex.join(words))
    sys.stdout.write(finished.output)
    return finished.code


if __name__ == "__main__":
    sys.exit(main())
