"""The parser of `maas`: all commands, in the order in which its help lists them."""

from __future__ import annotations

import argparse

from maas._version import __version__
from maas.cli._answer import add_predict
from maas.cli._call_parser import add_bench_generate, add_call, add_chat, add_ready
from maas.cli._compress import add_compress
from maas.cli._doctor import add_doctor
from maas.cli._export import add_export
from maas.cli._fit_parser import add_fit
from maas.cli._import_hf import add_import_hf
from maas.cli._keep_parser import add_package, add_reading_back, add_sample
from maas.cli._measure import add_measuring
from maas.cli._openapi import add_openapi
from maas.cli._registry_parser import add_registry
from maas.cli._serve_parser import add_serving
from maas.cli._sign import add_keygen, add_sign
from maas.cli._tune_parser import add_cross_validate, add_learning_rate, add_tune
from maas.cli._tune_serving import add_tune_serving

_EXITS = """\
exit codes:
  0    done
  1    a row was refused, --preflight found what would waste a training, doctor found an error, bfloat16 does not
       hold its accuracy, or a model cannot be compressed within its budget
  2    the command, the data or a file in it cannot be used
  3    an artifact or archive is damaged, unsigned or answers otherwise here; a run does not go on to the bit
  4    a server cannot be started, or does not answer
  130  interrupted
  141  whoever read the output stopped reading
  143  told to end (SIGTERM); as after 130, a training goes on with --resume
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command `maas`."""
    parser = argparse.ArgumentParser(
        prog="maas",
        description="Train a network on a table, measure it honestly, package it and serve it with TorchServe.",
        epilog="from a table to a served model:\n"
        "  maas sample wine --output wine.csv\n"
        "  maas fit wine.csv --target cultivar --output artifacts/wine\n"
        "  maas package artifacts/wine --store model_store\n"
        "  maas serve wine --store model_store        (and in another terminal)\n"
        "  maas call wine wine.csv\n\n" + _EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"maas {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        add_fit,
        add_cross_validate,
        add_tune,
        add_learning_rate,
        add_measuring,
        add_compress,
        add_predict,
        add_reading_back,
        add_package,
        add_export,
        add_import_hf,
        add_keygen,
        add_sign,
        add_registry,
        add_serving,
        add_tune_serving,
        add_call,
        add_chat,
        add_bench_generate,
        add_ready,
        add_doctor,
        add_openapi,
        add_sample,
    ):
        add(commands)
    return parser
