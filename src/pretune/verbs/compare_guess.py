"""What a guess is worth at telling replaced tokens: the bound that this objective's loss is judged by.

How many tokens of the text are replaced depends on the generator: a sample that equals the true token is none. So the
share of the validation's tokens that a finished run's own generator replaces is counted; always guessing that share has
the entropy of it as its loss.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from pretune.checkpoint.huggingface import read_json
from pretune.core.stream import Batch
from pretune.corpus.store import Corpus
from pretune.objectives.mlm import HEAD as LM
from pretune.objectives.replaced_token import HEAD, ReplacedToken, replaced
from pretune.recipes.recipe import open_recipe
from pretune.verbs import records
from pretune.verbs.compare_plan import Plan
from pretune.verbs.pretrain import make_validation, start_model


def replaced_share(plan: Plan, corpus: Corpus, valid: Corpus, run: Path, kept: Path) -> float | None:
    """The share of validation tokens that the run's generator replaces, kept in a file; None without a generator."""
    recipe, size = open_recipe(plan.row.recipe)
    objective = recipe.make_objective(plan.resolved.objective)
    if not any(isinstance(part, ReplacedToken) for part in getattr(objective, "parts", (objective,))):
        return None
    if not kept.is_file():
        settings = plan.resolved.model_copy(update={"model": {}})
        bundle = start_model(recipe, size, settings, corpus, objective, str(run / "model"))
        device = records.choose_device(None)
        model = bundle.model.to(device).eval()
        validation = make_validation(objective, valid, bundle, settings, device)
        number, total = torch.tensor(list(_counts(model, validation.batches()))).sum(0).tolist()
        records.write_json(kept, {"share": number / total})
    return float(read_json(kept)["share"])


@torch.no_grad()
def _counts(model: torch.nn.Module, batches: Iterable[Batch]) -> Iterator[tuple[float, float]]:
    """Replaced tokens and all tokens of each batch."""
    for batch in batches:
        every = batch.predict[HEAD]
        seen = replaced(batch, model(batch, heads=[LM])[LM])
        is_replaced_T = seen.source.ids_T[every.at_MK[:, 0]] != every.gold_M
        yield float(is_replaced_T.sum()), float(len(is_replaced_T))
