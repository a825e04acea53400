"""Exports whole Keras networks with random weights, and records their input gradients in float64, like `networks.py`.

    python3 -m venv .venv-keras && .venv-keras/bin/pip install -r scripts/reference/keras-requirements.txt
    .venv-keras/bin/python scripts/reference/keras_networks.py /tmp/keras-networks
    .venv-keras/bin/python scripts/reference/keras_networks.py /tmp/keras-networks --exports export-15 --models vit resnet50

For each network it makes a folder with
- `weights.npz`: drawn once, shared by all exports;
- `reference.npz`: the arrays of `networks.py`, images and gradients as [N, 3, S, S] although Keras has the channels last. Of a
  network that ends in a softmax `logits` are the logarithms of its probabilities, as in our gradient graphs;
- `ROUTE-OPSET.onnx`, or `ROUTE-OPSET.error` with what the exporter said. ROUTE is Keras's own `export`, or tf2onnx's
  `from_keras`, `from_function`, `nchw` (that with `inputs_as_nchw`), or `saved_model`: its command.

`mimir-export`'s example `network_gradients` reads the folders.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from networks import IMAGES, LIMIT_S, cause, missing

EXPORTS = ["export-15", "saved_model-18", "from_function-17", "from_keras-13", "nchw-17"]
CLASSES = 10

# Name: (pixels on a side, whether it ends in a softmax, arguments of the application). Applications that rescale their
# input want pixels up to 255 and get a Rescaling in front, as a user would write it.
APPLICATIONS = {
    "ResNet50": (64, True, {}),
    "ResNet50V2": (64, False, {}),
    "VGG16": (64, True, {}),
    "DenseNet121": (64, False, {}),
    "MobileNet": (64, True, {}),
    "MobileNetV2": (64, False, {}),
    "MobileNetV3Small": (64, True, {}),
    "EfficientNetB0": (64, True, {}),
    "EfficientNetV2B0": (64, False, {}),
    "InceptionV3": (96, True, {}),
    "Xception": (96, False, {}),
    "NASNetMobile": (64, True, {}),
    "ConvNeXtTiny": (64, False, {}),
}
RESCALES = ("MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny")

# Activations whose derivative jumps; LeakyReLU and the like are layers.
KINKED_ACTIVATIONS = ("relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "hard_silu")
KINKED_LAYERS = ("ReLU", "LeakyReLU", "PReLU", "MaxPooling2D", "GlobalMaxPooling2D")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--models", nargs="*", default=[name.lower() for name in APPLICATIONS] + list(OWN))
    parser.add_argument("--exports", nargs="*", default=EXPORTS)
    parser.add_argument("--here", action="store_true", help="in this process, without a time limit")
    arguments = parser.parse_args()
    exports = [export for export in EXPORTS if export in arguments.exports]
    if arguments.here:
        return make(arguments.folder / arguments.models[0], arguments.models[0], exports)
    for part in [exports[:2], exports[2:]]:
        for name in arguments.models:
            guarded(arguments.folder, name, part)


def guarded(folder, name, exports):
    """Exports of one network in a process of their own, with a time limit."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    wanted = missing(folder / name, exports)
    if not wanted:
        return
    command = [sys.executable, __file__, str(folder), "--here", "--models", name, "--exports", *wanted]
    try:
        done = subprocess.run(command, stderr=subprocess.DEVNULL, timeout=LIMIT_S)
        error = f"exit status {done.returncode}"
    except subprocess.TimeoutExpired:
        error = f"takes more than {LIMIT_S} s"
    for export in missing(folder / name, wanted):
        (folder / name / f"{export}.error").write_text(error + "\n")
        print(name, export, error, flush=True)


def make(folder, name, exports):
    import onnx
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    model = load(folder / "weights.npz", name)
    for export in exports:
        route, opset = export.split("-")
        partial = folder / f"{export}.partial"
        try:
            write_onnx(model, partial, route, int(opset))
            # tf2onnx writes operators of TensorFlow that it does not know into the file, and says nothing.
            onnx.checker.check_model(str(partial))
            partial.rename(folder / f"{export}.onnx")
            print(name, export, "ok", flush=True)
        except Exception as error:
            (folder / f"{export}.error").write_text(cause(error) + "\n")
            print(name, export, cause(error), flush=True)
    # Last, because it takes minutes where Keras has XLA compile grouped convolutions, which tf2onnx cannot write.
    if list(folder.glob("*.onnx")) and not (folder / "reference.npz").exists():
        write_reference(folder / "reference.npz", name, model)


def load(path, name):
    import numpy as np

    model = build(name)
    if path.exists():
        weights = np.load(path)
        model.set_weights([weights[str(index)] for index in range(len(weights))])
    else:
        randomise(model)
        np.savez(path, **{str(index): array for index, array in enumerate(model.get_weights())})
    return model


def ends_in_softmax(name):
    return name == "cnn" or any(name == key.lower() and softmax for key, (_, softmax, _) in APPLICATIONS.items())


def build(name, logits=False):
    """The network in the current floating-point type; `logits` leaves its softmax away."""
    import keras

    activation = "softmax" if ends_in_softmax(name) and not logits else None
    if name in OWN:
        return OWN[name](activation)
    application = next(key for key in APPLICATIONS if key.lower() == name)
    size, _, arguments = APPLICATIONS[application]
    network = getattr(keras.applications, application)(
        input_shape=(size, size, 3), weights=None, classes=CLASSES, classifier_activation=activation, **arguments
    )
    if application not in RESCALES:
        return network
    images = keras.Input((size, size, 3))
    return keras.Model(images, network(keras.layers.Rescaling(255.0)(images)))


def cnn(activation):
    """A first network of a tutorial."""
    import keras
    from keras import layers

    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu", padding="same"), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.5), layers.Dense(32, activation="relu"), layers.Dense(CLASSES),
        layers.Activation(activation or "linear"),
    ])


def preprocessing(activation):
    """Layers that prepare images, in front of a network with odd sizes and strides."""
    import keras
    from keras import layers

    return keras.Sequential([
        keras.Input((33, 33, 3)),
        layers.Rescaling(2.0, -1.0), layers.Resizing(40, 40),
        layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.4, 0.3]), layers.CenterCrop(37, 37),
        layers.Conv2D(8, 3, strides=2, padding="same", activation="swish"), layers.AveragePooling2D(3, 2, padding="same"),
        layers.Conv2D(16, 2, dilation_rate=2, padding="same", activation="gelu"), layers.GlobalAveragePooling2D(),
        layers.Dense(CLASSES, activation=activation),
    ])


def layer_zoo(activation):
    """Layers that the applications lack."""
    import keras
    from keras import layers

    images = keras.Input((32, 32, 3))
    x = layers.SeparableConv2D(16, 3, strides=2, padding="same")(images)
    x = layers.GroupNormalization(4)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    skip = layers.Conv2D(16, 4, padding="same")(x)
    x = layers.Conv2DTranspose(16, 3, strides=2, padding="same")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Activation("mish")(x)
    x = layers.DepthwiseConv2D(5, strides=2, padding="same", depth_multiplier=2)(x)
    x = layers.LeakyReLU(negative_slope=0.1)(x)
    x = layers.UnitNormalization()(x)
    x = layers.Concatenate()([x, skip, layers.UpSampling2D(interpolation="bilinear")(layers.MaxPooling2D()(skip))])
    x = layers.Conv2D(8, 1, activation="elu")(x)
    x = layers.UpSampling2D(2)(layers.Cropping2D(((1, 2), (2, 1)))(x))
    x = layers.Multiply()([x, layers.Dense(8, activation="softplus")(layers.GlobalMaxPooling2D(keepdims=True)(x))])
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Reshape((8, -1))(x)
    x = layers.Dense(8, activation="selu")(x)
    return keras.Model(images, layers.Dense(CLASSES, activation=activation)(layers.Flatten()(x)))


def vit(activation):
    return transformer(32, patch=8, width=64, heads=4, depth=2, activation=activation)


def transformer(size, patch, width, heads, depth, activation):
    """A Vision Transformer in Keras layers, with a class token."""
    import keras
    from keras import layers

    images = keras.Input((size, size, 3))
    patches = layers.Conv2D(width, patch, strides=patch)(images)
    tokens = tokens_layer()()(layers.Reshape(((size // patch) ** 2, width))(patches))
    for _ in range(depth):
        normed = layers.LayerNormalization(epsilon=1e-6)(tokens)
        tokens = layers.Add()([tokens, layers.MultiHeadAttention(heads, width // heads, dropout=0.1)(normed, normed)])
        hidden = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(tokens))
        tokens = layers.Add()([tokens, layers.Dropout(0.1)(layers.Dense(width)(hidden))])
    tokens = layers.LayerNormalization(epsilon=1e-6)(tokens)
    return keras.Model(images, layers.Dense(CLASSES, activation=activation)(tokens[:, 0]))


def tokens_layer():
    import keras

    class Tokens(keras.layers.Layer):
        """Puts a class token in front and adds positions: [N, T, D] to [N, T + 1, D]."""

        def build(self, shape):
            _, length, width = shape
            self.token = self.add_weight(shape=(1, 1, width), initializer="zeros", name="token")
            self.positions = self.add_weight(shape=(1, length + 1, width), initializer="zeros", name="positions")

        def call(self, patches):
            token = keras.ops.broadcast_to(self.token, (keras.ops.shape(patches)[0], 1, patches.shape[2]))
            return keras.ops.concatenate([token, patches], axis=1) + self.positions

    return Tokens


OWN = {"cnn": cnn, "preprocessing": preprocessing, "layer_zoo": layer_zoo, "vit": vit}


def all_layers(model):
    return list(model._flatten_layers(include_self=False))


def randomise(model, seed=1):
    """As `networks.randomise`: draws what Keras sets to a constant, and takes the statistics of random images."""
    import keras
    import numpy as np

    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        array = variable.numpy()
        first = float(array.flat[0])
        if array.size > 1 and not np.all(array == array.flat[0]):
            continue
        noise = generator.standard_normal(array.shape)
        if first == 1:
            variable.assign(1 + 0.2 * noise)
        elif variable.name in ("bias", "beta") or array.ndim > 1:
            variable.assign(first + 0.1 * noise)
        else:
            # Layer scale starts near nothing, which would hide what it scales.
            variable.assign(0.5 + 0.1 * noise)
    norms = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    drops = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.Dropout)]
    if not norms:
        return
    before = [layer.momentum for layer in norms], [layer.rate for layer in drops]
    set_all(norms, "momentum", [0.0] * len(norms))
    set_all(drops, "rate", [0.0] * len(drops))
    model(generator.random((16, *model.input_shape[1:]), dtype=np.float32), training=True)
    set_all(norms, "momentum", before[0])
    set_all(drops, "rate", before[1])
    for norm in norms:
        # Of 16 images at one pixel a channel can be nearly constant.
        variance = norm.moving_variance.numpy()
        norm.moving_variance.assign(np.maximum(variance, 1e-2 * variance.mean()))


def set_all(layers, attribute, values):
    for layer, value in zip(layers, values):
        setattr(layer, attribute, value)


def write_reference(path, name, model):
    import numpy as np

    generator = np.random.default_rng(0)
    images = generator.random((IMAGES, *model.input_shape[1:]), dtype=np.float32)
    labels = generator.integers(CLASSES, size=IMAGES)
    single, double = (gradient(name, in_precision(name, model, kind), images, labels) for kind in ("float32", "float64"))
    use_precision("float32")
    np.savez_compressed(
        path, images=channels_first(images), labels=labels, logits=double[0], loss=double[1],
        gradient=channels_first(double[2]), gradient32=channels_first(single[2]),
        smooth=np.array([int(not any(is_kinked(layer) for layer in all_layers(model)))], dtype=np.int64),
    )


def in_precision(name, model, kind):
    """The network with the same weights in that floating-point type, without a softmax at its end."""
    use_precision(kind)
    same = build(name, logits=True)
    same.set_weights(model.get_weights())
    return same


def use_precision(kind):
    import keras

    keras.config.set_floatx(kind)
    keras.config.set_dtype_policy(kind)


def is_kinked(layer):
    activation = getattr(getattr(layer, "activation", None), "__name__", "")
    return type(layer).__name__ in KINKED_LAYERS or activation in KINKED_ACTIVATIONS


def channels_first(images):
    """[N, H, W, C] to [N, C, H, W]."""
    import numpy as np

    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def gradient(name, model, images, labels):
    import numpy as np
    import tensorflow as tf

    parts = []
    for start in range(0, IMAGES, 4):
        pixels = tf.constant(images[start : start + 4], dtype=model.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            logits = model(pixels, training=False)
            if ends_in_softmax(name):
                logits = tf.nn.log_softmax(logits)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[start : start + 4], logits)
            total = tf.reduce_sum(loss)
        parts.append([part.numpy() for part in (logits, loss, tape.gradient(total, pixels))])
    return [np.concatenate(part) for part in zip(*parts)]


def write_onnx(model, path, route, opset):
    import numpy as np
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")]
    if route == "export":
        # Keras 3 refuses networks that were never called, and has opset 15 as tf2onnx's default.
        model(np.zeros((1, *model.input_shape[1:]), np.float32))
        model.export(path, format="onnx", verbose=False)
    elif route == "saved_model":
        with tempfile.TemporaryDirectory() as folder:
            model.export(folder, format="tf_saved_model", verbose=False)
            command = ["-m", "tf2onnx.convert", "--saved-model", folder, "--output", str(path), "--opset", str(opset)]
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
    elif route == "from_keras":
        tf2onnx.convert.from_keras(model, signature, opset=opset, output_path=path)
    else:
        function = tf.function(lambda images: model(images, training=False))
        nchw = ["images"] if route == "nchw" else None
        tf2onnx.convert.from_function(function, signature, opset=opset, inputs_as_nchw=nchw, output_path=path)


if __name__ == "__main__":
    main()
