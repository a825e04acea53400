"""Makes tests/fixtures/sklearn: classifiers of 8 x 8 digits as scikit-learn's converter writes them.

    python3 -m venv .venv && .venv/bin/pip install -r scripts/reference/sklearn-requirements.txt
    .venv/bin/python scripts/reference/sklearn_fixtures.py

For each NAME it writes NAME.onnx and NAME.npz: `images` f32 [N, 1, 8, 8] in [0, 1], `labels` int64 [N], `probabilities`
int64 [], whether the scores are probabilities, and from scikit-learn in float64 `scores` [N, K], `predicted` int64 [N] and
`gradient` [N, 1, 8, 8] of each image's cross-entropy by its pixels, from central differences. The cross-entropy is
-log p of probabilities, and of other scores that of their softmax. `original` [N, K] is what ONNX Runtime returns.
"""

import pathlib

import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "sklearn"
IMAGES, STEP = 4, 1e-5
logistic = lambda: LogisticRegression(max_iter=500)  # noqa: E731

BINARY = {
    "logistic_binary": logistic(),
    "mlp_binary": MLPClassifier((6,), max_iter=60, random_state=1),
    "sgd_binary": SGDClassifier(loss="log_loss", alpha=0.1, random_state=1),
    "linear_svc_binary": LinearSVC(C=0.01),
    "ridge_binary": RidgeClassifier(alpha=10.0),
    "svc_rbf_binary": SVC(kernel="rbf"),
    "svc_sigmoid_binary": SVC(kernel="sigmoid", gamma=0.01, coef0=0.1),
}
SEVERAL = {
    "standard_logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
    "minmax_mlp": make_pipeline(MinMaxScaler(), MLPClassifier((6,), max_iter=60, random_state=1)),
    "l1_logistic": make_pipeline(Normalizer("l1"), LogisticRegression(C=100.0, max_iter=500)),
    "l2_logistic": make_pipeline(Normalizer("l2"), logistic()),
    "max_logistic": make_pipeline(Normalizer("max"), logistic()),
    "pca_mlp": make_pipeline(PCA(5), MLPClassifier((6,), max_iter=60, random_state=1)),
    "imputed_logistic": make_pipeline(SimpleImputer(), SelectKBest(k=20), logistic()),
    "one_against_rest": OneVsRestClassifier(logistic()),
    "discriminant": make_pipeline(PCA(1), LinearDiscriminantAnalysis()),
    "sgd": SGDClassifier(alpha=0.1, random_state=1),
    "linear_svc": LinearSVC(C=0.01),
    "svc_linear": SVC(kernel="linear"),
    "svc_poly": SVC(kernel="poly"),
    "naive_bayes": make_pipeline(PCA(6), GaussianNB()),
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    features, labels = load_digits(return_X_y=True)
    features = (features / 16).astype(np.float32)
    for name, model in BINARY.items():
        write(name, model, *some(features, labels, 2))
    for name, model in SEVERAL.items():
        write(name, model, *some(features, labels, 3))
    rows, classes = some(features, labels, 3)
    write("logistic_words", logistic(), rows, np.array(["none", "one", "two"])[classes])
    write("mlp_words", MLPClassifier((6,), max_iter=60, random_state=1), rows, np.array(["none", "one", "two"])[classes])
    write("logistic_scores", logistic(), rows, classes, zipmap=False, raw_scores=True)
    write("logistic_tensor", logistic(), rows, classes, zipmap=False)
    save("logistic_columns", convert(logistic().fit(rows, classes), rows, zipmap="columns"))
    save("forest", convert(RandomForestClassifier(2, max_depth=3, random_state=1).fit(rows, classes), rows))
    pairs = SVC(kernel="linear", decision_function_shape="ovo").fit(rows, classes)
    save("svc_pairs", convert(pairs, rows))
    save("svc_probability", convert(SVC(kernel="linear", probability=True).fit(rows, classes), rows))


def some(features, labels, classes):
    """Sixty rows of the first classes, for training and for the fixtures."""
    chosen = np.flatnonzero(labels < classes)[:60]
    return features[chosen], labels[chosen]


def convert(model, rows, **options):
    return to_onnx(model, rows[:1], options={id(model): options} if options else None)


def save(name, exported):
    onnx.save(exported, FOLDER / f"{name}.onnx")


def write(name, model, rows, labels, **options):
    model.fit(rows, labels)
    exported = convert(model, rows, **options)
    save(name, exported)
    classes = list(model.classes_)
    # Noise, because two largest pixels would be a tie, where there is no gradient.
    noise = np.random.default_rng(1).uniform(0, 0.04, (IMAGES, rows.shape[1]))
    images = (rows[:IMAGES] * 0.9 + 0.03 + noise).astype(np.float32)
    wanted = np.array([classes.index(label) for label in labels[:IMAGES]])
    probable = hasattr(model, "predict_proba") and not options.get("raw_scores")
    score = scores_of(model, probable)
    predicted = np.array([classes.index(label) for label in model.predict(images.astype(np.float64))])
    np.savez_compressed(
        FOLDER / f"{name}.npz",
        images=images.reshape(-1, 1, 8, 8),
        labels=wanted.astype(np.int64),
        probabilities=np.int64(probable),
        scores=np.ascontiguousarray(score(images.astype(np.float64))),
        predicted=predicted.astype(np.int64),
        gradient=gradient(score, probable, images.astype(np.float64), wanted).reshape(-1, 1, 8, 8),
        original=original(exported, images),
    )


def scores_of(model, probable):
    """From rows in float64 to scores [N, K]; of one score for two classes, its negative is the first."""
    if probable:
        return model.predict_proba

    def scores(rows):
        decision = model.decision_function(rows)
        return decision if decision.ndim == 2 else np.stack([-decision, decision], axis=1)

    return scores


def gradient(score, probable, images, labels):
    def loss(rows):
        scores = score(rows)
        if probable:
            return -np.log(scores[np.arange(len(rows)), labels])
        largest = scores.max(axis=1, keepdims=True)
        total = np.log(np.exp(scores - largest).sum(axis=1)) + largest[:, 0]
        return total - scores[np.arange(len(rows)), labels]

    slopes = np.zeros_like(images)
    for pixel in range(images.shape[1]):
        step = np.zeros(images.shape[1])
        step[pixel] = STEP
        slopes[:, pixel] = (loss(images + step) - loss(images - step)) / (2 * STEP)
    return slopes


def original(exported, images):
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = session.run(None, {session.get_inputs()[0].name: images})[-1]
    if isinstance(scores, list):
        scores = np.array([[row[label] for label in sorted(row)] for row in scores])
    return np.asarray(scores, dtype=np.float32).reshape(len(images), -1)


if __name__ == "__main__":
    main()
