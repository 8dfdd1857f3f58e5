"""One network trained by several processes: breast tumours, benign or malignant.

    torchrun --nproc-per-node 2 examples/distributed.py                      two processes of this machine
    torchrun --nproc-per-node 2 examples/distributed.py --distribute fsdp    each with a part of the weights
    torchrun --nproc-per-node 2 --max-restarts 3 examples/distributed.py --folder runs/tumours
                                                       kept in a folder: it goes on after a process was killed
    python examples/distributed.py                     one process, which learns the same

    ... my.csv --target churn                          your own table

Each process reads all rows and is given the same arguments; `maas.fit` shares out every batch among them. Prints how
many processes trained, the losses of the last epoch, the scores on the 20 % of rows held out, and whether the model,
served by the first of the processes, answers as it does there.

In about 15 seconds on two cores, without a GPU, it prints in short:

    processes   1
    losses      0.1020 of training, 0.0709 of validation rows
    accuracy    0.9474 on 114 test rows
    served and in-process answers equal to the last bit: 114 of 114
"""

import argparse
import tempfile
from pathlib import Path

import maas
from maas.training import rank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", help="the column to predict")
    parser.add_argument("--distribute", default="ddp", choices=["ddp", "fsdp"], help="what each process holds")
    parser.add_argument("--folder", help="keep checkpoints here, and go on from the newest")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        data, target = options.data, options.target
        if data is None:
            data = maas.data.write_sample("breast_cancer", Path(folder) / "breast_cancer.csv")
            target = "diagnosis"
        train, test = maas.data.read_table(data, target=target).split(test=0.2, seed=0)
        model = maas.fit(
            maas.recipe(maas.nn.MLP, hidden=(32, 32)),
            train,
            epochs=15,
            batch_size=64,
            distribute=options.distribute,
            run=options.folder and maas.Run(options.folder, resume=True, every=10),
            device="cpu",
        )
        if rank() > 0:
            return  # all have the same model; one of them is enough to save it, to serve it and to speak
        trained, evaluation = model.card["training"], model.evaluate(test)
        last = trained["history"][-1]
        print(f"processes   {trained['processes']}")
        print(f"losses      {last['train_loss']:.4f} of training, {last['validation_loss']:.4f} of validation rows")
        print(f"{evaluation.primary:<11} {evaluation.scores[evaluation.primary]:.4f} on {len(test)} test rows")
        artifact = model.save(Path(folder) / "trained", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        with maas.serve(archive.parent, models=["trained"]) as server:
            served = server.client("trained").predict(test.to_dicts())
        equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
        print(f"served and in-process answers equal to the last bit: {equal} of {len(test)}")


if __name__ == "__main__":
    main()
