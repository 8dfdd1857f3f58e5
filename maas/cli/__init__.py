"""The command `maas`. Its help costs no torch: each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from maas.cli._parser import build_parser
from maas.cli._print import note

OK, REFUSED, UNUSABLE, UNTRUSTED, UNAVAILABLE, INTERRUPTED, CUT_OFF = 0, 1, 2, 3, 4, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code. A user's mistake ends in one line, never in a traceback."""
    from maas import errors

    given = sys.argv[1:] if arguments is None else list(arguments)
    parsed = build_parser().parse_args(given)
    parsed.arguments = given
    written = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"maas: {message}\n"  # not where in the code it arose
    try:
        from maas.cli import (
            _answer,
            _bench_generate,
            _call,
            _chat,
            _compress,
            _doctor,
            _export,
            _front,
            _import_hf,
            _keep,
            _learn,
            _measure,
            _openapi,
            _registry,
            _serve,
            _sign,
            _tune,
            _tune_serving,
        )

        if parsed.command not in ("serve", "doctor"):  # there the workers import them
            _import(getattr(parsed, "imports", []))
        commands = {
            "fit": _learn.fit,
            "cross-validate": _tune.cross_validate,
            "tune": _tune.tune,
            "tune-serving": _tune_serving.tune_serving,
            "learning-rate": _tune.learning_rate,
            "evaluate": _measure.evaluate,
            "vouch": _measure.vouch,
            "compress": _compress.compress,
            "report": _measure.report,
            "predict": _answer.predict,
            "serve": _serve.serve,
            "front": _front.front,
            "stop": _serve.stop,
            "status": _serve.status,
            "deploy": _serve.deploy,
            "rollback": _serve.rollback,
            "call": _call.call,
            "chat": _chat.chat,
            "bench-generate": _bench_generate.bench_generate,
            "ready": _call.ready,
            "inspect": _keep.inspect,
            "verify": _keep.verify,
            "package": _keep.package,
            "export": _export.export,
            "import-hf": _import_hf.import_hf,
            "keygen": _sign.keygen,
            "sign": _sign.sign,
            "push": _registry.push,
            "promote": _registry.promote,
            "registry": _registry.registry,
            "openapi": _openapi.openapi,
            "sample": _keep.sample,
            "doctor": _doctor.doctor,
        }
        run = commands[parsed.command]
        return int(run(parsed))  # False is OK, True is REFUSED
    except (errors.ArtifactError, errors.ArchiveError) as error:
        return _say(error, UNTRUSTED)
    except (errors.ServingError, errors.ClientError) as error:
        return _say(error, REFUSED if isinstance(error, errors.RequestRefused) else UNAVAILABLE)
    except errors.CompressionError as error:
        return _say(error, REFUSED)
    except BrokenPipeError:  # whoever reads the answers, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_OFF
    except (errors.MaasError, OSError) as error:
        return _say(error, UNUSABLE)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    finally:
        warnings.formatwarning = written


def _import(modules: Sequence[str]) -> None:
    """Import a user's own modules, from the current folder too."""
    from importlib import import_module

    from maas.errors import RecipeError

    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise RecipeError(f"--import {module}: {error}") from error


def _say(message: object, code: int) -> int:
    note(message)
    return code
