// Optimisers over a network's parameters, with a state that can be stored and restored bit for bit.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/fields.hpp"
#include "data/bytes/safetensors.hpp"
#include "model/network.hpp"

namespace ae::recipe {

// The part of a buffer that belongs to a parameter, which is a view of another buffer laid out alike.
at::Tensor part_of(const at::Tensor& buffer, const at::Tensor& parameter);

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual void zero_gradients() = 0;
  virtual void step(double learning_rate) = 0;
  // Arrays "<prefix><parameter>.<slot>"; empty before the first step.
  virtual void save(const std::string& prefix, std::map<std::string, data::NamedArray>& arrays) const = 0;
  virtual void restore(const std::string& prefix, const std::map<std::string, data::NamedArray>& arrays) = 0;
};

// The dense engine's twin: over parameters that are views of one buffer (model::Network::gather_parameters), with the
// same stored state.
class FusedOptimizer {
 public:
  virtual ~FusedOptimizer() = default;
  virtual void begin_step(double learning_rate) = 0;
  // Changes numbers [begin, begin + count) of the buffer by their gradients times `factor`; after begin_step(),
  // different ranges from any threads.
  virtual void update(std::int64_t begin, std::int64_t count, const float* gradients, float factor) = 0;
  virtual void save(const std::string& prefix, std::map<std::string, data::NamedArray>& arrays) const = 0;
  virtual void restore(const std::string& prefix, const std::map<std::string, data::NamedArray>& arrays) = 0;
};

class OptimizerOptions : public config::Section {
 public:
  // Null: none; such an optimiser is left to autograd. `buffer` [members, size].
  virtual std::unique_ptr<FusedOptimizer> build_fused(const model::NamedTensors&, const at::Tensor&) const {
    return nullptr;
  }
  virtual bool fused() const { return false; }
  virtual std::unique_ptr<Optimizer> build(const model::NamedTensors& parameters) const = 0;
};

std::span<const config::Entry<OptimizerOptions>> optimizers();  // adam, adamw, sgd

}  // namespace ae::recipe
