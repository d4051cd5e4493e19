"""What ae-attack --attack pgd is compared with: the attack as a loop of PyTorch on the same TorchScript classifier, 40
steps of cross-entropy from one random start, as Madry et al. (2018) describe it.

eager_pgd.py CLASSIFIER.pt MNIST COUNT EPS THREADS LEAVE OUT

Attacks the first COUNT test digits of the folder MNIST and prints the seconds that it took, imports and reading left out.
LEAVE is "turned", to leave digits alone once they are wrong, as ae-attack does, or "none". OUT gets the accuracy.
"""

import sys
import time
from pathlib import Path

import numpy
import torch

STEPS, BATCH = 40, 500


def digits(folder, count):
    images = numpy.fromfile(folder / "t10k-images-idx3-ubyte", numpy.uint8, count * 784, offset=16)
    labels = numpy.fromfile(folder / "t10k-labels-idx1-ubyte", numpy.uint8, count, offset=8)
    return torch.from_numpy(images.reshape(count, 1, 28, 28)).float() / 255, torch.from_numpy(labels).long()


def attack(classifier, clean, labels, eps, leave):
    """How many of a batch are still right."""
    images = (clean + torch.empty_like(clean).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(STEPS):
        images.requires_grad_(True)
        logits = classifier(images)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, images)
        images = images.detach() + 2.5 * eps / STEPS * gradient.sign()
        images = torch.max(torch.min(images, clean + eps), clean - eps).clamp(0, 1)
        if leave == "turned":
            right = logits.argmax(1) == labels
            if not right.any():
                return 0
            images, clean, labels = images[right], clean[right], labels[right]
    with torch.no_grad():
        return (classifier(images).argmax(1) == labels).sum().item()


def main():
    classifier_path, mnist, count, eps, threads, leave, out = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    classifier = torch.jit.load(classifier_path).eval()
    for parameter in classifier.parameters():
        parameter.requires_grad_(False)
    images, labels = digits(Path(mnist), int(count))
    started = time.perf_counter()
    right = sum(attack(classifier, *batch, float(eps), leave) for batch in zip(images.split(BATCH), labels.split(BATCH)))
    print(time.perf_counter() - started)
    Path(out).write_text(f"{right / int(count)}\n")


main()
