"""Makes examples/demo: draws images, trains a small network adversarially on some, keeps others to be attacked.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/demo/requirements.txt
    .venv/bin/python scripts/demo/make.py

The images that are kept come from a generator of their own; the network never sees them. A second run on one machine
writes the same bytes; another BLAS may change the last bits of the weights.
"""

import pathlib

import numpy as np
import onnx

import network
import shapes

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo"
SEED = 3
TRAIN_IMAGES = 12_000
TEST_IMAGES = 240
STEPS = 3_000
WARM_UP_STEPS = 1_500  # From scratch at the full radius, this network stays at chance.
BATCH = 96
LEARNING_RATE = 2e-3
TRAIN_EPSILON = 4 / 255
ATTACK_STEPS = 2
# Per channel, in pixels of [0, 1]; examples/demo/mimir-certify.toml states the same.
MEAN = np.array([0.5, 0.5, 0.5], np.float32)[:, None, None]
STD = np.array([0.25, 0.25, 0.25], np.float32)[:, None, None]


def main():
    streams = np.random.SeedSequence(SEED).spawn(3)
    images, labels = shapes.draw(TRAIN_IMAGES, np.random.default_rng(streams[0]))
    test_images, test_labels = shapes.draw(TEST_IMAGES, np.random.default_rng(streams[1]))
    weights = train(to_pixels(images), labels, np.random.default_rng(streams[2]))
    print(f"accuracy on the kept images {accuracy(weights, to_pixels(test_images), test_labels):.4f}")
    onnx.save(network.to_onnx(weights, shapes.SIZE), FOLDER / "model.onnx")
    np.savez_compressed(FOLDER / "images.npz", images=test_images, labels=test_labels)


def to_pixels(images):
    return images.astype(np.float32) / np.float32(255)


def train(images, labels, rng):
    """Adversarial training (Madry et al. 2018) with Adam and a linearly falling learning rate."""
    weights = network.initial_weights(shapes.SIZE, len(shapes.CLASSES), rng)
    optimiser = Adam(weights)
    for step in range(STEPS):
        batch = rng.integers(0, len(labels), BATCH)
        epsilon = np.float32(TRAIN_EPSILON * min(1, step / WARM_UP_STEPS))
        attacked = perturb(weights, images[batch], labels[batch], epsilon, rng)
        loss, gradients, _ = gradients_at(weights, attacked, labels[batch])
        optimiser.update(weights, gradients, LEARNING_RATE * (1 - step / STEPS))
        if step % 200 == 0:
            print(f"step {step}  adversarial loss {loss.mean():.3f}")
    return weights


def perturb(weights, images, labels, epsilon, rng):
    """Projected gradient ascent on the cross-entropy inside the Linf ball and the box of valid pixels."""
    offset = rng.uniform(-epsilon, epsilon, images.shape).astype(np.float32)
    for _ in range(ATTACK_STEPS):
        _, _, gradient = gradients_at(weights, np.clip(images + offset, 0, 1), labels)
        offset = np.clip(offset + epsilon * np.float32(0.75) * np.sign(gradient), -epsilon, epsilon)
    return np.clip(images + offset, 0, 1)


def gradients_at(weights, images, labels):
    """Loss of each image, gradients of the mean loss by the weights, gradients of each loss by its pixels."""
    logits, saved = network.forward(weights, (images - MEAN) / STD)
    loss, logits_gradient = network.cross_entropy(logits, labels)
    gradients, images_gradient = network.backward(weights, saved, logits_gradient)
    return loss, {name: value / len(labels) for name, value in gradients.items()}, images_gradient / STD


def accuracy(weights, images, labels):
    logits, _ = network.forward(weights, (images - MEAN) / STD)
    return (logits.argmax(axis=1) == labels).mean()


class Adam:
    """Adam (Kingma and Ba 2015) with its usual constants."""

    def __init__(self, weights):
        self.step = 0
        self.first = {name: np.zeros_like(value) for name, value in weights.items()}
        self.second = {name: np.zeros_like(value) for name, value in weights.items()}

    def update(self, weights, gradients, learning_rate):
        self.step += 1
        for name, gradient in gradients.items():
            self.first[name] += 0.1 * (gradient - self.first[name])
            self.second[name] += 0.001 * (gradient**2 - self.second[name])
            mean = self.first[name] / (1 - 0.9**self.step)
            scale = np.sqrt(self.second[name] / (1 - 0.999**self.step)) + 1e-8
            weights[name] -= (learning_rate * mean / scale).astype(np.float32)


if __name__ == "__main__":
    main()
