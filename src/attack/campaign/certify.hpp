// Randomised smoothing: how far an image may be changed without any attack turning it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "apply/purifiers.hpp"

namespace ae::attack {

struct CertifyOptions {
  double sigma = 0;                // of the noise; 0: nothing is certified
  std::int64_t first_votes = 100;  // of which the most frequent class is guessed to be the answer
  std::int64_t votes = 1000;       // of which the guess's share is bounded from below
  double confidence = 0.999;       // of that bound, one-sided, for each image
};

// An answer that no change of a smaller norm l2 turns, of images in the unit of pixels.
struct Certificate {
  std::int64_t answer = -1;  // a class; -1: the votes do not tell one apart
  double radius = 0;
};

// Classes [n] of images [n, channels, height, width] with noise, which may draw by these keys in turn.
using Classes = std::function<at::Tensor(const at::Tensor& images, const apply::Keys& keys)>;

// Of the classifier that answers with the class that is most frequent under Gaussian noise (Cohen, Rosenfeld and Kolter
// 2019, CERTIFY): of the share of the guessed class the exact lower bound p, and the radius sigma Phi^-1(p), where p
// exceeds 1/2. The random numbers are those of the image's number. Stops at a signal.
Certificate certify(const Classes& classes, std::int64_t count, const at::Tensor& image, std::int64_t number,
                    std::uint64_t seed, const CertifyOptions& options);

}  // namespace ae::attack
