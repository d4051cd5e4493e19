#include "loss/value_term.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <mutex>

#include "base/error.hpp"
#include "value/q_network.hpp"

namespace ae::loss {
namespace {

class Value final : public Term {
 public:
  config::Path path;
  std::vector<std::int64_t> shape;

  void fields(config::Fields& f) override {
    Term::fields(f);
    f.path(
        "path", path,
        "Q network from samples, in the unit of the data, to a value for each action: JSON layers or TorchScript, as "
        "ae-replay takes them; TorchScript is a program and runs with your rights: use no file you do not trust.");
    f.integers("shape", shape, {1, 1'000'000},
               "Shape of a sample as the network takes it, [height, width] for example; [] for all columns in a row.");
  }
  void check(std::vector<config::Problem>& problems) const override {
    if (path.empty()) problems.push_back({"/path", "not set; name the file of a Q network"});
  }
  bool training_only() const override { return true; }
  Script script() const override { return {"", "prediction.squeeze(-1)"}; }
  std::filesystem::path file() const override { return path.resolved; }
  bool accepts(const model::Element& element) const override { return !element.channel && element.affine; }

  at::Tensor weighted_loss(const Judged& judged) const override {
    const auto observed = [&](const at::Tensor& values) {
      return torch::where(judged.observed > 0, values, torch::zeros_like(values));
    };
    const auto original = judged.in_unit(observed(judged.target)),
               decoded = judged.in_unit(observed(judged.prediction.squeeze(2)));
    const auto& q = network(original);
    at::Tensor wanted;
    {
      const torch::NoGradGuard no_grad;
      wanted = q.values(original);
    }
    const auto each = (q.values(decoded) - wanted).square().mean(1, true).to(judged.target.scalar_type());
    return each * judged.weights();
  }

 private:
  // Opened where samples are there to try it on.
  const value::QNetwork& network(const at::Tensor& samples) const {
    const std::lock_guard lock(mutex_);
    if (network_) return *network_;
    const auto width = samples.size(1);
    std::int64_t left = width;
    for (const auto length : shape) left = left % length == 0 ? left / length : 0;
    if (!shape.empty() && left != 1)
      throw UsageError("/loss/terms: the shape of the value loss is not that of the " + std::to_string(width) +
                       " numbers of a sample");
    constexpr std::int64_t kExamples = 64;
    network_ =
        value::open_q_network(path.resolved, shape.empty() ? std::vector{width} : shape,
                              samples.narrow(0, 0, std::min(samples.size(0), kExamples)).detach().to(at::kDouble));
    return *network_;
  }

  mutable std::mutex mutex_;
  mutable std::unique_ptr<value::QNetwork> network_;
};

}  // namespace

std::unique_ptr<Term> make_value() { return std::make_unique<Value>(); }

}  // namespace ae::loss
