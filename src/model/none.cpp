// No network at all: for score heads that judge without one.
#include <stdexcept>

#include "model/makers.hpp"

namespace ae::model {
namespace {

class NoNetwork final : public Network {
 public:
  Code encode(const Batch&) override { throw std::logic_error("there is no network to encode with"); }
  at::Tensor decode(const at::Tensor&) override { throw std::logic_error("there is no network to decode with"); }
  NamedTensors parameters() const override { return {}; }
  NamedTensors buffers() const override { return {}; }
  void set_training(bool) override {}
  void to_double() override {}
  std::int64_t latent_size() const override { return 0; }
  bool answers_samples_apart() const override { return true; }
};

class NoFamily final : public Family {
 public:
  void fields(config::Fields&) override {}
  std::unique_ptr<Network> build(const Interface&) const override { return std::make_unique<NoNetwork>(); }
  bool has_network() const override { return false; }
  double weights(const Interface&) const override { return 0; }
};

}  // namespace

std::unique_ptr<Family> make_none() { return std::make_unique<NoFamily>(); }

}  // namespace ae::model
