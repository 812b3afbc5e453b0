"""The recipe for fine-tuning a convnet, which becomes the teacher of a student.

    python scripts/train.py --variant regnety_040 --weights regnety_040 --dataset images/ --recipe transfer_convnet

Hardware, time and accuracy: not measured with published weights. From random weights, a RegNetY-200MF had 77.4 % after 4
epochs on 6,000 images of Fashion-MNIST (`--image-size 56 --crop-scale 0.6,1 --learning-rate 0.05`), in 3 minutes on one CPU
core with PyTorch.

The optimizer (SGD with a momentum of 0.9), the learning rate and the weight decay are the values with which many studies
fine-tune convnets of ImageNet, see the source. Crops and flips are those of the training on ImageNet, without mixing and
RandAugment. The number of epochs, the batch size, the warm-up and the cosine schedule were chosen for this package.

Source: Li et al., 2020, Rethinking the Hyperparameters for Fine-tuning (arXiv 2002.11770), section 1.
"""

from keras_deit.recipes.recipe import IMAGENET_AUGMENTATION, Recipe

TRANSFER_CONVNET = Recipe(
    name="transfer_convnet",
    description="Fine-tuning a convnet with SGD, as a teacher; not measured with published weights.",
    epochs=30,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.01,
    learning_rate_batch=None,
    min_learning_rate=1e-5,
    warmup_epochs=1,
    warmup_learning_rate=1e-4,
    schedule="steps",
    weight_decay=1e-4,
    label_smoothing=0.0,
    drop_path_rate=0.0,
    distillation="none",
    crop_scale=IMAGENET_AUGMENTATION["crop_scale"],
    flip=IMAGENET_AUGMENTATION["flip"],
)
