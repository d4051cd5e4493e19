// The nearest of the images that a decoder makes: z that minimises |decode(z) - x|^2 (the projection of Defense-GAN,
// Samangouei, Kabkab and Chellappa 2018, there on what a generator makes; here on what an autoencoder's decoder does).
//
// Descent begins at the encoder's code of the image; further starts at its code of the image with Gaussian noise, which
// is the same for all images of a size. Steps go along the negative gradient. Their length needs no setting: the first
// is 2 % of the code's own length, each later one a step of Barzilai and Borwein (1988), who take the curvature from
// the last two gradients, by their two formulas in turn (Dai and Fletcher 2005). An error of more than 1.5 times the
// smallest so far ends where that one was, and the next step is at most a quarter as long. What counts is the smallest
// error of all steps and starts, so that the answer is never farther from the image than its reconstruction.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "loss/autoencoder.hpp"

namespace ae::apply {

class LatentDescent {
 public:
  static constexpr std::int64_t kMostUnrolled = 10;

  // `name`: the model's, for messages. Several networks are one decoder, of all their codes, by the mean of what they
  // make. UsageError where a code is not all that the decoder is given, as of networks with skip connections.
  LatentDescent(const loss::Autoencoder& autoencoder, const std::string& name, std::int64_t steps, std::int64_t starts);

  // Of images [n, channels, height, width] of a size that the network reads, the nearest ones found, shaped likewise;
  // without gradients. An image's answer does not depend on the others, nor on the threads.
  at::Tensor nearest(const at::Tensor& images) const { return search(images, 0).decoded; }

  // The same with the exact gradient, with respect to the images, of the last kMostUnrolled steps, or of as many as
  // there are, to the best code; their lengths count as constants. Where there were no more, also of the encoder.
  at::Tensor unrolled(const at::Tensor& images) const;

 private:
  // Where the best code came from: its last steps.
  struct Trail {
    at::Tensor codes;  // [n, steps, code], from which each of them was taken; the oldest first
    at::Tensor
        lengths;       // [n, steps], by which the gradient was multiplied; 0: there was no step, the code is the first
    at::Tensor taken;  // [n] int64, all steps from the start on
  };
  struct Found {
    at::Tensor decoded;  // [n, channels, height, width]
    at::Tensor errors;   // [n]
    at::Tensor starts;   // [n] int64
    Trail trail;
  };
  // Gradients of the errors with respect to codes.
  struct Slope {
    at::Tensor decoded, errors, gradients;
  };

  Found search(const at::Tensor& images, std::int64_t kept) const;  // `kept`: steps of the trail
  Found descend(const at::Tensor& images, std::int64_t start, std::int64_t kept) const;
  Slope slope(const at::Tensor& codes, const at::Tensor& images, bool differentiable) const;
  at::Tensor encoded(const at::Tensor& images) const;                           // [n, members, code of one]
  at::Tensor decoded(const at::Tensor& codes, const at::Tensor& images) const;  // shaped like the images
  static at::Tensor noise(const at::Tensor& images, std::int64_t start);        // [channels, height, width]

  const loss::Autoencoder& autoencoder_;
  std::int64_t steps_, starts_;
};

}  // namespace ae::apply
