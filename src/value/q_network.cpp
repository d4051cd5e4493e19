#include "value/q_network.hpp"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "value/bounded_json.hpp"
#include "value/script_file.hpp"

namespace ae::value {
namespace {

using Json = nlohmann::json;

// --- JSON ------------------------------------------------------------------------------------------------------------

// Of y = f(x), undefined where it is 1 everywhere (the first) or 0 (the second).
struct Derivatives {
  at::Tensor first, second;
};

struct Activation {
  const char* name;
  at::Tensor (*apply)(const at::Tensor& x);
  Derivatives (*derive)(const at::Tensor& x, const at::Tensor& y);
};

at::Tensor above_zero(const at::Tensor& x) { return (x > 0).to(x.scalar_type()); }

constexpr std::array<Activation, 8> kActivations{{{"identity", [](const at::Tensor& x) { return x; },
                                                   [](const at::Tensor&, const at::Tensor&) { return Derivatives{}; }},
                                                  {"relu", [](const at::Tensor& x) { return at::relu(x); },
                                                   [](const at::Tensor& x, const at::Tensor&) {
                                                     return Derivatives{above_zero(x), {}};
                                                   }},
                                                  {"tanh", [](const at::Tensor& x) { return at::tanh(x); },
                                                   [](const at::Tensor&, const at::Tensor& y) {
                                                     const auto first = 1 - y * y;
                                                     return Derivatives{first, -2 * y * first};
                                                   }},
                                                  {"sigmoid", [](const at::Tensor& x) { return at::sigmoid(x); },
                                                   [](const at::Tensor&, const at::Tensor& y) {
                                                     const auto first = y * (1 - y);
                                                     return Derivatives{first, first * (1 - 2 * y)};
                                                   }},
                                                  {"softplus", [](const at::Tensor& x) { return at::softplus(x); },
                                                   [](const at::Tensor& x, const at::Tensor&) {
                                                     const auto first = at::sigmoid(x);
                                                     return Derivatives{first, first * (1 - first)};
                                                   }},
                                                  {"silu", [](const at::Tensor& x) { return x * at::sigmoid(x); },
                                                   [](const at::Tensor& x, const at::Tensor& y) {
                                                     const auto s = at::sigmoid(x), slope = s * (1 - s);
                                                     return Derivatives{s + y * (1 - s), slope * (2 + x * (1 - 2 * s))};
                                                   }},
                                                  {"elu", [](const at::Tensor& x) { return at::elu(x); },
                                                   [](const at::Tensor& x, const at::Tensor& y) {
                                                     const auto above = above_zero(x), below = (1 - above) * (y + 1);
                                                     return Derivatives{above + below, below};
                                                   }},
                                                  {"square", [](const at::Tensor& x) { return x * x; },
                                                   [](const at::Tensor& x, const at::Tensor&) {
                                                     return Derivatives{2 * x, at::full_like(x, 2)};
                                                   }}}};

struct Layer {
  at::Tensor weight, bias;
  const Activation* activation = nullptr;
  at::Tensor weight_single, bias_single;  // the same in float32
  at::Tensor linear(const at::Tensor& x) const {
    return x.scalar_type() == at::kFloat ? at::linear(x, weight_single, bias_single) : at::linear(x, weight, bias);
  }
};

[[noreturn]] void fail_at(const std::string& name, const std::string& pointer, const std::string& what) {
  throw InputError(name + ": " + pointer + ": " + what);
}

std::vector<double> numbers_at(const Json& json, const std::string& name, const std::string& pointer) {
  if (!json.is_array() || json.empty()) fail_at(name, pointer, "expected an array of numbers");
  std::vector<double> numbers;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (!json[i].is_number() || !std::isfinite(json[i].get<double>()))
      fail_at(name, pointer + "/" + std::to_string(i), "expected a finite number");
    numbers.push_back(json[i].get<double>());
  }
  return numbers;
}

at::Tensor matrix_at(const Json& json, const std::string& name, const std::string& pointer) {
  if (!json.is_array() || json.empty()) fail_at(name, pointer, "expected an array of rows of numbers");
  std::vector<double> all;
  std::size_t width = 0;
  for (std::size_t row = 0; row < json.size(); ++row) {
    const auto numbers = numbers_at(json[row], name, pointer + "/" + std::to_string(row));
    if (row == 0) width = numbers.size();
    if (numbers.size() != width)
      fail_at(name, pointer + "/" + std::to_string(row),
              "found " + std::to_string(numbers.size()) + " numbers, expected " + std::to_string(width));
    all.insert(all.end(), numbers.begin(), numbers.end());
  }
  return torch::tensor(all, at::kDouble)
      .reshape({static_cast<std::int64_t>(json.size()), static_cast<std::int64_t>(width)});
}

class JsonNetwork final : public QNetwork {
 public:
  JsonNetwork(const std::string& text, const std::string& name) {
    name_ = name;
    const auto json = parse_bounded_json<Json>(text, name);
    if (json.is_discarded()) {
      const bool not_finite = text.find("NaN") != std::string::npos || text.find("Infinity") != std::string::npos;
      throw InputError(name + (not_finite
                                   ? ": holds NaN or Infinity, which are no numbers in JSON; expected finite weights"
                                   : ": is no JSON; expected {\"layers\": [...]} or TorchScript"));
    }
    if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array() || json["layers"].empty())
      fail_at(name, "/layers", "expected an array of layers, {\"weight\": ..., \"bias\": ..., \"activation\": ...}");
    check_keys(json, "", {"layers"});
    for (std::size_t i = 0; i < json["layers"].size(); ++i) add(json["layers"][i], "/layers/" + std::to_string(i));
    actions_ = layers_.back().weight.size(0);
  }

  at::Tensor values(const at::Tensor& observations) const override {
    auto x = observations;
    if (x.size(1) != layers_.front().weight.size(1))
      fail_at(name_, "/layers/0/weight",
              "takes " + std::to_string(layers_.front().weight.size(1)) + " numbers, but an observation has " +
                  std::to_string(x.size(1)));
    for (const auto& layer : layers_) x = layer.activation->apply(layer.linear(x));
    return x;
  }

  at::Tensor embedded(const at::Tensor& observations) const override {
    return embeds() ? layers_.front().linear(observations) : observations;
  }
  at::Tensor embedded_error(const at::Tensor& errors) const override {
    return embeds() ? at::linear(errors, layers_.front().weight) : errors;
  }
  at::Tensor values_of(const at::Tensor& embedded) const override {
    if (!embeds()) return values(embedded);
    auto x = layers_.front().activation->apply(embedded);
    for (std::size_t i = 1; i < layers_.size(); ++i) x = layers_[i].activation->apply(layers_[i].linear(x));
    return x;
  }

  // Along e each layer's y = f(z) has dy = f' dz and ddy = f'' dz^2 + f' ddz. The greedy action's curvature along v is
  // the sum of its derivatives with respect to y, times f'' dz^2, over all layers.
  std::optional<Expansion> closed_form(const at::Tensor& observations, const at::Tensor& errors,
                                       const std::vector<at::Tensor>& directions) const override {
    const torch::NoGradGuard no_grad;
    Expansion found;
    auto x = observations;
    std::vector<Derivatives> derivatives;
    for (const auto& layer : layers_) {
      const auto z = layer.linear(x);
      x = layer.activation->apply(z);
      derivatives.push_back(layer.activation->derive(z, x));
    }
    found.values = x;
    found.greedy = x.argmax(1);
    const auto times = [](const at::Tensor& factor, const at::Tensor& of) {
      return factor.defined() ? factor * of : of;
    };
    at::Tensor first = errors, second;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto& [slope, bend] = derivatives[i];
      first = at::linear(first, layers_[i].weight);
      if (second.defined()) second = times(slope, at::linear(second, layers_[i].weight));
      if (bend.defined()) second = second.defined() ? second + bend * first * first : bend * first * first;
      first = times(slope, first);
    }
    found.first = first;
    found.second = second.defined() ? second : at::zeros_like(x);
    auto adjoint = at::zeros_like(x).scatter_(1, found.greedy.unsqueeze(1), 1.0);
    std::vector<at::Tensor> bends(layers_.size());
    for (std::size_t i = layers_.size(); i-- > 0;) {
      if (derivatives[i].second.defined()) bends[i] = adjoint * derivatives[i].second;
      adjoint = times(derivatives[i].first, adjoint).mm(layers_[i].weight);
    }
    found.gradient = adjoint;
    found.curvature = at::zeros({x.size(0)}, at::kDouble);
    for (auto along : directions) {
      for (std::size_t i = 0; i < layers_.size(); ++i) {
        along = at::linear(along, layers_[i].weight);
        if (bends[i].defined()) found.curvature += (bends[i] * along * along).sum(1);
        along = times(derivatives[i].first, along);
      }
    }
    return found;
  }

 private:
  bool embeds() const { return layers_.front().weight.size(0) <= layers_.front().weight.size(1); }

  void check_keys(const Json& json, const std::string& pointer, const std::vector<std::string>& known) const {
    for (const auto& [key, value] : json.items())
      if (std::ranges::find(known, key) == known.end())
        fail_at(name_, pointer + "/" + printable(key),
                "unknown key" + did_you_mean(key, known) + "; expected " + ae::join(known));
  }

  void add(const Json& json, const std::string& pointer) {
    if (!json.is_object()) fail_at(name_, pointer, "expected a layer");
    check_keys(json, pointer, {"weight", "bias", "activation"});
    Layer layer;
    layer.weight = matrix_at(json.value("weight", Json()), name_, pointer + "/weight");
    const auto outputs = layer.weight.size(0);
    if (json.contains("bias")) {
      layer.bias = torch::tensor(numbers_at(json["bias"], name_, pointer + "/bias"), at::kDouble);
      if (layer.bias.size(0) != outputs)
        fail_at(name_, pointer + "/bias",
                "found " + std::to_string(layer.bias.size(0)) + " numbers, expected " + std::to_string(outputs));
    }
    if (!layers_.empty() && layer.weight.size(1) != layers_.back().weight.size(0))
      fail_at(name_, pointer + "/weight",
              "rows have " + std::to_string(layer.weight.size(1)) + " numbers, expected the " +
                  std::to_string(layers_.back().weight.size(0)) + " outputs of the layer before");
    const auto named = json.value("activation", Json("identity"));
    std::vector<std::string> names;
    for (const auto& activation : kActivations) {
      names.emplace_back(activation.name);
      if (named == activation.name) layer.activation = &activation;
    }
    if (layer.activation == nullptr) {
      std::string found = "a value that is no text";
      if (named.is_string()) {
        const auto text = named.get<std::string>();
        found = ae::quoted(text) + did_you_mean(text, names);
      }
      fail_at(name_, pointer + "/activation", "found " + found + ", expected one of " + ae::join(names));
    }
    layer.weight_single = layer.weight.to(at::kFloat);
    if (layer.bias.defined()) layer.bias_single = layer.bias.to(at::kFloat);
    layers_.push_back(std::move(layer));
  }

  std::vector<Layer> layers_;
};

// --- TorchScript -----------------------------------------------------------------------------------------------------

class ScriptNetwork final : public QNetwork {
 public:
  ScriptNetwork(const std::filesystem::path& path, const std::vector<std::int64_t>& shape, const at::Tensor& examples)
      : network_(path) {
    name_ = path.string();
    choose_input(path, shape, examples);
  }

  at::Tensor values(const at::Tensor& observations) const override {
    try {
      return call(observations, shapes_.at(chosen_), type_);
    } catch (const std::exception& error) {
      throw InputError(name_ + ": fails on " + counted(observations.size(0), "observations") + ": " + told(error) +
                       "; expected a network from any number of them to [n, actions]");
    }
  }

 private:
  at::Tensor call(const at::Tensor& observations, std::vector<std::int64_t> shape, at::ScalarType type) const {
    shape.front() = observations.size(0);
    auto values = network_(observations.to(type).reshape(shape));
    if (values.dim() == 1) values = values.unsqueeze(1);
    TORCH_CHECK(values.dim() == 2 && values.size(0) == observations.size(0), "it gives ", values.sizes(), " for ",
                observations.size(0), " observations, not [n, actions]");
    return values.to(at::kDouble);
  }

  void choose_input(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
                    const at::Tensor& examples) {
    const torch::NoGradGuard no_grad;
    std::vector<std::int64_t> own{0};
    own.insert(own.end(), shape.begin(), shape.end());
    shapes_.push_back(own);
    if (shape.size() != 1) shapes_.push_back({0, examples.size(1)});
    if (shape.size() == 2) shapes_.push_back({0, 1, shape[0], shape[1]});
    std::string why;
    for (chosen_ = 0; chosen_ < shapes_.size(); ++chosen_) {
      try {
        const auto single = call(examples, shapes_[chosen_], at::kFloat);
        type_ = at::kFloat;
        actions_ = single.size(1);
        if (actions_ < 1) break;
        try_double(path, examples, single);
        return;
      } catch (const std::exception& error) {
        if (why.empty()) why = told(error);
      }
    }
    if (actions_ < 1) throw InputError(name_ + ": has no outputs; expected one for each action");
    throw InputError(name_ + ": does not take observations of shape [n" + sizes_text(shape) + "]: " + why +
                     "; expected a network from them to [n, actions]");
  }

  // Differences of close values and second derivatives want more digits than float32 has.
  void try_double(const std::filesystem::path& path, const at::Tensor& examples, const at::Tensor& single) {
    try {
      network_.to_double();
      const auto values = call(examples, shapes_[chosen_], at::kDouble);
      if (at::allclose(values, single, 1e-3, 1e-3)) {
        type_ = at::kDouble;
        return;
      }
    } catch (const std::exception&) {
    }
    network_ = ScriptFile(path);
  }

  static std::string sizes_text(const std::vector<std::int64_t>& shape) {
    std::string text;
    for (const auto length : shape) text += ", " + std::to_string(length);
    return text;
  }

  ScriptFile network_;
  std::vector<std::vector<std::int64_t>> shapes_;
  std::size_t chosen_ = 0;
  at::ScalarType type_ = at::kDouble;
};

// What a network must be whatever it is made of.
void check_answers(const QNetwork& network, const at::Tensor& examples) {
  const torch::NoGradGuard no_grad;
  const auto values = network.values(examples);
  if (!values.isfinite().all().item<bool>())
    throw InputError(network.name() + ": gives values that are not finite for observations of the file");
  const auto again = network.values(examples), alone = network.values(examples.narrow(0, 0, 1));
  if (!at::allclose(values, again, 1e-4, 1e-5) || !at::allclose(values.narrow(0, 0, 1), alone, 1e-4, 1e-4))
    throw InputError(network.name() +
                     ": answers differently when asked again or in another batch, as networks do that were traced "
                     "while training; call eval() before torch.jit.trace");
}

}  // namespace

std::unique_ptr<QNetwork> parse_q_network(const std::string& json, const std::string& name) {
  return std::make_unique<JsonNetwork>(json, name);
}

std::unique_ptr<QNetwork> open_q_network(const std::filesystem::path& path, const std::vector<std::int64_t>& shape,
                                         const at::Tensor& examples) {
  const auto text = read_file(path, FileKind::data);
  std::unique_ptr<QNetwork> network;
  if (text.starts_with("PK"))
    network = std::make_unique<ScriptNetwork>(path, shape, examples);
  else
    network = parse_q_network(text, path.string());
  check_answers(*network, examples);
  return network;
}

std::optional<Expansion> QNetwork::closed_form(const at::Tensor&, const at::Tensor&,
                                               const std::vector<at::Tensor>&) const {
  return std::nullopt;
}

Expansion expand(const QNetwork& network, const at::Tensor& observations, const at::Tensor& errors,
                 const std::vector<at::Tensor>& directions) {
  // The values, weighted by u: what is linear in u is had for all actions by its gradient with respect to u. With u = 1
  // at the greedy action the gradient with respect to s is that action's:
  //   g = d(u . Q)/ds, then d(g . e)/d(s, u) = (H e, first), then d(H e . e)/du = second.
  if (auto found = network.closed_form(observations, errors, directions)) return *found;
  try {
    Expansion found;
    const auto s = observations.detach().clone().requires_grad_(true);
    const auto values = network.values(s);
    found.values = values.detach();
    found.greedy = found.values.argmax(1);
    const auto u = at::zeros_like(found.values).scatter_(1, found.greedy.unsqueeze(1), 1.0).requires_grad_(true);
    found.gradient = at::zeros_like(s).detach();
    found.first = at::zeros_like(found.values);
    found.second = at::zeros_like(found.values);
    found.curvature = at::zeros({s.size(0)}, s.options().requires_grad(false));
    using torch::autograd::grad;
    if (!values.requires_grad()) return found;
    const auto g = grad({(values * u).sum()}, {s}, {}, true, true, true)[0];
    if (!g.defined()) return found;
    found.gradient = g.detach();
    const auto along = grad({(g * errors).sum()}, {s, u}, {}, true, true, true);
    if (along[1].defined()) found.first = along[1].detach();
    if (!along[0].defined()) return found;  // linear
    if (along[0].requires_grad()) {
      const auto second = grad({(along[0] * errors).sum()}, {u}, {}, true, false, true)[0];
      if (second.defined()) found.second = second.detach();
    }
    for (const auto& direction : directions) {
      const auto product = grad({(g * direction).sum()}, {s}, {}, true, false, true)[0];
      if (product.defined()) found.curvature += (product * direction).sum(1).detach();
    }
    return found;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(network.name() + ": cannot be differentiated twice: " + told(error) +
                     "; expected a network of differentiable operations");
  }
}

}  // namespace ae::value
