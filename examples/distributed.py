"""One network trained by several processes: breast tumours, benign or malignant.

    torchrun --nproc-per-node 2 examples/distributed.py                      two processes of this machine
    torchrun --nproc-per-node 2 examples/distributed.py --distribute fsdp    each with a part of the weights
    torchrun --nproc-per-node 2 --max-restarts 3 examples/distributed.py --folder runs/tumours
                                                       kept in a folder: it goes on after a process was killed
    python examples/distributed.py                     one process, which learns the same

Prints how many processes trained, the losses of the last epoch, the scores on the 20 % of rows held out, and whether
the saved model, loaded again, answers as the trained one does:

    processes   2
    losses      0.1020 of training, 0.0709 of validation rows
    accuracy    0.9474 on 114 test rows
    loaded and in-process answers equal to the last bit: 114 of 114

Ten seconds on two cores, without a GPU.
"""

import argparse
import tempfile
from pathlib import Path

import maas
from maas.training import rank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distribute", default="ddp", choices=["ddp", "fsdp"], help="what each process holds")
    parser.add_argument("--folder", help="keep checkpoints here, and go on from the newest")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        # Each process reads all rows and is given the same arguments; maas.fit shares out every batch among them.
        data = maas.data.write_sample("breast_cancer", Path(folder) / "breast_cancer.csv")
        rows = maas.data.read_table(data, target="diagnosis")
        train, test = rows.split(test=0.2, seed=0)
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
            return  # all have the same model; one of them is enough to save it and to speak
        trained = model.card["training"]
        last = trained["history"][-1]
        print(f"processes   {trained['processes']}")
        print(f"losses      {last['train_loss']:.4f} of training, {last['validation_loss']:.4f} of validation rows")
        print(f"accuracy    {model.evaluate(test).scores['accuracy']:.4f} on {len(test)} test rows")
        loaded = maas.load(model.save(Path(folder) / "tumours"))
        pairs = zip(loaded.predict(test), model.predict(test), strict=True)
        print(f"loaded and in-process answers equal to the last bit: {sum(a == b for a, b in pairs)} of {len(test)}")


if __name__ == "__main__":
    main()
