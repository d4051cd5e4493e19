// Somebody who plays against an autoencoder while it is trained: changes what it is given, and judges what it makes of
// that.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "loss/autoencoder.hpp"
#include "model/batch.hpp"
#include "model/network.hpp"

namespace ae::train {

class Adversary {
 public:
  // Of one batch.
  struct Round {
    model::Batch input;  // what the autoencoder is given instead
    at::Tensor answers;  // [samples], whatever the judgement needs
  };

  virtual ~Adversary() = default;
  // A further part of the loss, by its name.
  virtual std::string part_name() const = 0;
  virtual double weight() const = 0;  // of it
  // `number`: of the first sample among those that the key is for; all random numbers follow from both. Leaves
  // gradients and the weights alone, and the network in evaluation mode.
  virtual Round play(const loss::Autoencoder& autoencoder, const model::Batch& input, const model::Batch& target,
                     std::uint64_t key, std::int64_t number) const = 0;
  // The unweighted part [samples] of what the autoencoder made of the input, with gradients.
  virtual at::Tensor loss(const Round& round, const at::Tensor& expected) const = 0;

  // What is trained together with the autoencoder, by the same loss: other tensors each by a name of its own.
  virtual const model::NamedTensors& parameters() const {
    static const model::NamedTensors kNone;
    return kNone;
  }
  // Writes what it has become, given the values of parameters(), beside the model.
  virtual void publish(const model::NamedTensors& /*parameters*/, const std::filesystem::path& /*model*/) const {}
  // What else is told of a complete run; "" for nothing.
  virtual std::string ending(const std::filesystem::path& /*model*/) const { return ""; }
};

}  // namespace ae::train
