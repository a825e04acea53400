"""Makes the Keras members of tests/fixtures/tiny: networks as small as they can be built, as Keras and tf2onnx write them.

    python3 -m venv .venv-keras && .venv-keras/bin/pip install -r scripts/reference/keras-requirements.txt
    .venv-keras/bin/python scripts/reference/keras_fixtures.py [NAME ...]

NAME.onnx takes [N, H, W, C]; NAME.npz holds what `export_fixtures.py` says, with images and gradients as [N, C, H, W].
"""

import pathlib
import sys

import keras
import keras_networks
import numpy as np
import tensorflow as tf
from keras import layers
from keras_networks import CLASSES, channels_first, in_precision, randomise, write_onnx

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "tiny"
SIZE, IMAGES = 16, 2
# As in `export_fixtures.py`: exact in binary.
MEAN, STD = np.float32([0.5, 0.4375, 0.375]), np.float32([0.25, 0.25, 0.3125])


def main():
    wanted = sys.argv[1:]
    for seed, (name, (build, route, opset)) in enumerate(NETWORKS.items()):
        if wanted and name not in wanted:
            continue
        keras_networks.OWN[name] = build
        model = build(None)
        randomise(model, seed)
        path = FOLDER / f"{name}.onnx"
        write_onnx(model, path, route, opset)
        write_reference(FOLDER / f"{name}.npz", name, model)
        print(name, path.stat().st_size, "bytes")


def mobilenet(activation):
    """An inverted residual with squeeze and excitation, behind odd padding, as the MobileNets of Keras are built."""
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(images)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, use_bias=False)(x)))
    skip = x
    x = layers.Activation("hard_swish")(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("hard_swish")(layers.BatchNormalization()(x))
    scale = layers.Conv2D(8, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Conv2D(16, 1, activation="hard_sigmoid")(scale)])
    x = layers.Add()([skip, layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))])
    x = layers.Concatenate()([layers.MaxPooling2D(3, 2, "same")(x), layers.AveragePooling2D(2)(x)])
    return keras.Model(images, layers.Dense(CLASSES, activation=activation)(layers.Flatten()(x)))


def vit(activation):
    return keras_networks.transformer(SIZE, patch=4, width=16, heads=2, depth=1, activation=activation)


# Name: (network, route, opset)
NETWORKS = {"keras_mobilenet": (mobilenet, "export", 15), "keras_vit": (vit, "from_function", 17)}


def write_reference(path, name, model):
    generator = np.random.default_rng(0)
    images = generator.random((IMAGES, SIZE, SIZE, 3), dtype=np.float32)
    labels = generator.integers(CLASSES, size=IMAGES)
    pixels = tf.constant(images, dtype="float64")
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        logits = in_precision(name, model, "float64")((pixels - MEAN) / STD, training=False)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        total = tf.reduce_sum(loss)
    gradient = tape.gradient(total, pixels).numpy()
    keras_networks.use_precision("float32")
    np.savez_compressed(
        path, images=channels_first(images), labels=labels, mean=MEAN, std=STD, logits=logits.numpy(), loss=loss.numpy(),
        gradient=channels_first(gradient),
    )


if __name__ == "__main__":
    main()
