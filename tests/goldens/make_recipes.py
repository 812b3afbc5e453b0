"""Writes timm's results for the published settings: learning rates, decayed parameters, layer-wise scales of the rate.

    python -m tests.goldens.make_recipes

This script needs PyTorch and timm. It repeats the published settings as the options of the official commands.
"""

import json
import pathlib

FILE = pathlib.Path(__file__).parent / "timm_recipes.json"

# Peak learning rate, minimum, epochs; every schedule warms up for 5 epochs from 1e-6.
SCHEDULES = {
    "deit/deit_s": (5e-4 * 1024 / 512, 1e-5, 300),
    "deit_distilled_hard/deit_b": (5e-4 * 1024 / 512, 1e-5, 300),
    "deit_distilled_soft/deit_ti": (5e-4 * 1024 / 512, 1e-5, 300),
    "deit_384/deit_b_384": (5e-6, 5e-6, 30),
    "deit3_1k/deit3_s": (4e-3, 1e-5, 800),
    "deit3_1k/deit3_b": (3e-3, 1e-5, 800),
    "deit3_finetune_224/deit3_b": (1e-5, 1e-5, 20),
    "deit3_finetune_384/deit3_l_384": (1e-5, 1e-5, 20),
    "transfer/deit_b": (0.01, 1e-5, 1000),
}
VIT = dict(img_size=32, patch_size=8, embed_dim=16, depth=3, num_heads=2, num_classes=5)


def main():
    """Writes `timm_recipes.json`."""
    import torch
    from timm.models import deit, vision_transformer
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay
    from timm.scheduler import CosineLRScheduler

    rates = {}
    for name, (peak, minimum, epochs) in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
        scheduler = CosineLRScheduler(
            optimizer, t_initial=epochs, lr_min=minimum, warmup_t=5, warmup_lr_init=1e-6, t_in_epochs=True
        )
        rates[name] = [scheduler._get_lr(epoch)[0] for epoch in range(epochs)]
    models = {
        "two_tokens": deit.VisionTransformerDistilled(**VIT),
        "deit3": vision_transformer.VisionTransformer(**VIT, init_values=0.1, no_embed_class=True),
    }
    groups = {}
    for name, model in models.items():
        names = {id(parameter): key for key, parameter in model.named_parameters()}
        excluded = model.no_weight_decay()
        by_decay = param_groups_weight_decay(model, 0.05, no_weight_decay_list=excluded)
        by_layer = param_groups_layer_decay(model, 0.05, no_weight_decay_list=excluded, layer_decay=0.75)
        groups[name] = {
            "decayed": sorted(names[id(one)] for group in by_decay if group["weight_decay"] for one in group["params"]),
            "scales": {names[id(one)]: group["lr_scale"] for group in by_layer for one in group["params"]},
        }
    FILE.write_text(json.dumps({"rates": rates, "groups": groups}) + "\n")


if __name__ == "__main__":
    main()
