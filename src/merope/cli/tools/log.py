"""onelog: the logs of this machine's cloud."""

from merope.cli import logs, values
from merope.cli.declare import Arg, Command, Tool, opt, word

_PAGER = (
    opt("--pager", "pager", "a program to read it with (default: it is printed)", "-p"),
    opt("--pager-opts", "options", "the pager's options"),
)

TOOL = Tool(
    "onelog",
    "",
    "the logs of this machine's cloud",
    (
        Command(
            "get",
            "the log of a service: oned, sched, supervisor",
            logs.get,
            (word("service"),),
            (opt("--type", "type", "log (the default) or error", "-t"), *_PAGER),
            ("get oned", "get oned --pager less --pager-opts +G"),
        ),
        Command(
            "get-vm",
            "what was logged about a virtual machine",
            logs.get_vm,
            (Arg("id", values.natural),),
            _PAGER,
            ("get-vm 7",),
        ),
    ),
)
