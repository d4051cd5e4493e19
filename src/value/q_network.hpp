// A Q network: of an observation the value of each action, or, with one output, of the observation itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ae::value {

struct Expansion;

// observations [n, width] double, in the unit of the files; values [n, actions] double. values() takes float32, too,
// and networks of JSON then answer in float32, in a fraction of the time. From several threads at once.
class QNetwork {
 public:
  virtual ~QNetwork() = default;
  virtual at::Tensor values(const at::Tensor& observations) const = 0;
  // What the values depend on and is linear in the observation, [n, size], so that it is had once for many errors e:
  // values(s + e) = values_of(embedded(s) + embedded_error(e)), but for rounding. The observation itself, unless a
  // first layer makes it smaller.
  virtual at::Tensor embedded(const at::Tensor& observations) const { return observations; }
  virtual at::Tensor embedded_error(const at::Tensor& errors) const { return errors; }
  virtual at::Tensor values_of(const at::Tensor& embedded) const { return values(embedded); }
  // As expand() below, where it is had without automatic differentiation.
  virtual std::optional<Expansion> closed_form(const at::Tensor& observations, const at::Tensor& errors,
                                               const std::vector<at::Tensor>& directions) const;
  const std::string& name() const { return name_; }
  std::int64_t actions() const { return actions_; }

 protected:
  std::string name_;
  std::int64_t actions_ = 1;
};

// TorchScript (torch.jit.script or trace), or JSON:
//
//   {"layers": [{"weight": [[...], ...], "bias": [...], "activation": "tanh"}, ...]}
//
// with weight [outputs, inputs] as torch.nn.Linear has it, and the activations identity, relu, tanh, sigmoid, softplus,
// silu, elu and square. Unknown keys are refused.
//
// TorchScript is given observations as the file has them, [n, shape of one]; where it does not take that, [n, width],
// and of two dimensions [n, 1, height, width]. In float64 if the network can be brought there, else in float32.
// `examples` [n, width], some observations: the network is tried on them. InputError for what is no such network, does
// not take the observations, gives no [n, actions] or values that are not finite, or answers differently when asked
// again or in another batch, as networks do that were traced while training.
std::unique_ptr<QNetwork> open_q_network(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
                                         const at::Tensor& examples);

// A network by the text of such JSON; `name` for messages.
std::unique_ptr<QNetwork> parse_q_network(const std::string& json, const std::string& name);

// How the values change along errors e: Q(s + e, a) = Q + first + second / 2 + O(|e|^3), the first two terms for all
// actions at once in three backward passes, whatever the number of actions and the size of an observation; of JSON
// networks by the derivatives of their layers.
struct Expansion {
  at::Tensor values;     // [n, actions] at s
  at::Tensor greedy;     // [n] int64: the action of the largest value at s, the first of equal ones
  at::Tensor gradient;   // [n, width] of the greedy action's value
  at::Tensor first;      // [n, actions]: gradient . e
  at::Tensor second;     // [n, actions]: e . H e
  at::Tensor curvature;  // [n]: of the greedy action, the sum over `directions` v of v . H v
};

// `directions`: [n, width] or [1, width] each, one more pass for each. InputError when the network cannot be
// differentiated twice.
Expansion expand(const QNetwork& network, const at::Tensor& observations, const at::Tensor& errors,
                 const std::vector<at::Tensor>& directions);

}  // namespace ae::value
