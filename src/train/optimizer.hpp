// Optimisers over a network's parameters, with a state that can be stored and restored bit for bit.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/fields.hpp"
#include "data/safetensors.hpp"
#include "model/network.hpp"

namespace ae::train {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual void zero_gradients() = 0;
  virtual void step(double learning_rate) = 0;
  // Arrays "<prefix><parameter>.<slot>"; empty before the first step.
  virtual void save(const std::string& prefix, std::map<std::string, data::NamedArray>& arrays) const = 0;
  virtual void restore(const std::string& prefix, const std::map<std::string, data::NamedArray>& arrays) = 0;
};

class OptimizerOptions : public config::Section {
 public:
  virtual std::unique_ptr<Optimizer> build(const model::NamedTensors& parameters) const = 0;
};

std::span<const config::Entry<OptimizerOptions>> optimizers();  // adam, adamw, sgd

}  // namespace ae::train
