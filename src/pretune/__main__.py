"""`python -m pretune`, which torchrun needs: `torchrun --nproc-per-node 2 -m pretune pretrain ...`."""

from pretune.cli.main import run

if __name__ == "__main__":
    run()
