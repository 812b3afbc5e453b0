"""Names that settings choose from, and other texts that the command line's help repeats.

They stand here, beneath the modules that implement them, so that `--help` imports neither Keras nor a backend.
"""

DEIT_VARIANTS = (  # the variants of the family DeiT in `keras_deit.models.variants`
    "deit_ti",
    "deit_s",
    "deit_b",
    "deit_b_384",
    "deit3_s",
    "deit3_s_384",
    "deit3_m",
    "deit3_b",
    "deit3_b_384",
    "deit3_l",
    "deit3_l_384",
    "deit3_h",
)
REGNETY_VARIANTS = (  # the variants of the family RegNetY there
    "regnety_002",
    "regnety_016",
    "regnety_040",
    "regnety_080",
    "regnety_160",
    "regnety_320",
)
ARCHITECTURES = {  # the models of keras.applications, and the image size in pixels that each was trained with
    "ConvNeXtBase": 224,
    "ConvNeXtLarge": 224,
    "ConvNeXtSmall": 224,
    "ConvNeXtTiny": 224,
    "ConvNeXtXLarge": 224,
    "DenseNet121": 224,
    "DenseNet169": 224,
    "DenseNet201": 224,
    "EfficientNetB0": 224,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B0": 224,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2L": 480,
    "EfficientNetV2M": 480,
    "EfficientNetV2S": 384,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "MobileNet": 224,
    "MobileNetV2": 224,
    "MobileNetV3Large": 224,
    "MobileNetV3Small": 224,
    "NASNetLarge": 331,
    "NASNetMobile": 224,
    "ResNet101": 224,
    "ResNet101V2": 224,
    "ResNet152": 224,
    "ResNet152V2": 224,
    "ResNet50": 224,
    "ResNet50V2": 224,
    "VGG16": 224,
    "VGG19": 224,
    "Xception": 299,
}
SOURCES = (  # of `keras_deit.pretrained`
    "a preset, hf://owner/repository[@revision], a .safetensors file, a PyTorch file (.pth, .pt or .bin), a directory "
    "written by save_pretrained of transformers, a .keras file, or a run directory"
)
EXPORTED = "an exported model: a .tflite, .onnx or .xml (OpenVINO) file, or the directory of a SavedModel"
OUTPUTS = ("logits", "probabilities", "sigmoid")  # of a teacher
APPLICATIONS = (  # the modules of keras.applications that have a `preprocess_input`
    "convnext",
    "densenet",
    "efficientnet",
    "efficientnet_v2",
    "inception_resnet_v2",
    "inception_v3",
    "mobilenet",
    "mobilenet_v2",
    "mobilenet_v3",
    "nasnet",
    "resnet",
    "resnet50",
    "resnet_v2",
    "vgg16",
    "vgg19",
    "xception",
)
PIPELINES = ("auto", "tf.data", "grain", "python")
ON_NAN = ("stop", "skip")
TRACKERS = TENSORBOARD, WANDB = ("tensorboard", "wandb")  # where a run logs to, beside `history.csv`
STRATEGIES = ("auto", "none", "mirrored", "data_parallel")
PEERS = ("keras_hub", "zeromodels", "transformers", "timm")  # of a benchmark
INFERENCE_PRECISIONS = ("float32", "bfloat16")  # of `evaluate` and `predict`
EXPORT_FORMATS = (
    "saved_model",
    "litert",
    "litert:float16",
    "litert:dynamic_int8",
    "litert:int8",
    "onnx",
    "openvino",
)
EXPORT_INPUTS = ("normalized", "pixels", "bytes")  # what an exported model takes
SPLITS = ("train", "test")
TEST_SPLITS = ("val", "test")  # which a run may test on; of a dataset with both, the first
IMAGE_ISSUES = {
    "unreadable": "the file cannot be opened or is damaged, or Pillow does not know its format",
    "truncated": "the file ends before the image does",
    "wrong-extension": "the file extension names another format than the content has",
    "tiny": "height or width is less than 32 pixels",
    "cmyk": "the colours are CMYK, as for printing; they are converted to RGB",
    "16-bit": "more than 8 bits for each channel; they are scaled to 8 bits",
    "unused-bits": "16 bits, of which only the lowest are used: almost black unless --bit-depth states their number",
    "alpha-only": "all pixels have one colour and differ only in transparency, which is dropped",
    "animated": "several frames; the first one is used",
}
EVALUATION_FILES = ("evaluation.json", "confusion.csv", "confusion.png", "mistakes.csv")
ATTENTION_METHODS = ("rollout", "raw", "gradient")
EXPLANATION_FILES = (
    "disagreement.png",
    "disagreement.csv",
    "token_similarity.png",
    "attention_distance.png",
    "explanation.json",
)
BIT_DEPTHS = range(9, 17)  # numbers of bits that image files of 16 bits may use
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # filters of Pillow
CROP_RATIO, INTERPOLATION = 0.875, "bicubic"  # of the official evaluation
FATAL_ISSUES = ("unreadable", "truncated")  # training never uses such images
