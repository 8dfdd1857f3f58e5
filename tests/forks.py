"""Runs scripts, each in a fork of this process, which has imported already what takes every one of them seconds.

Reads a line of JSON for each, {"script": PATH, "folder": PATH, "said": PATH}: what is run, where, and the file for its
standard output. Answers with a line, its exit status.
"""

import json
import os
import runpy
import sys
import traceback

import sklearn.model_selection
import torch._dynamo

import maas

SLOW = (maas.fit, maas.Model, maas.serve, sklearn.model_selection, torch._dynamo)  # each named, and so imported


def run(script: str, folder: str, said: str) -> int:
    os.chdir(folder)
    os.dup2(os.open(said, os.O_WRONLY), 1)
    sys.argv = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
    return 0


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os._exit(run(**json.loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
