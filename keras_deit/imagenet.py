"""The normalisation that every published DeiT and its teacher were trained with."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green and blue, for pixels in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)
