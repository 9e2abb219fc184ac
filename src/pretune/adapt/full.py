"""Full fine-tuning: every weight trains (Devlin et al. 2019, section 3.2)."""

from pretune.adapt.frozen import let_body_train
from pretune.nn.model import Model


def full(model: Model) -> Model:
    """Makes every parameter of the model trainable, also after `frozen`. The model itself is changed and returned."""
    let_body_train(model.body)
    return model.requires_grad_(True)
