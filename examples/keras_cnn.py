"""Build the Keras model of keras_cnn.yaml and start it from generated weights.

python keras_cnn.py [WEIGHTS]

Needs keras and one of its backends.
"""

import sys
from pathlib import Path

import keras
from keras import layers

import initlib

MANIFEST = Path(__file__).with_name("keras_cnn.yaml")


def build_model() -> keras.Model:
    """Return the model; its own initial weights are replaced when others are loaded."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(weights: str = "keras_cnn.weights.h5") -> None:
    """Generate the weights, load them and look at them."""
    initlib.generate(MANIFEST, weights, force=True)
    model = build_model()
    model.load_weights(weights)
    for variable, values in zip(model.weights, model.get_weights(), strict=True):
        print(f"{variable.path:28} {values.shape!s:16} std {values.std():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
