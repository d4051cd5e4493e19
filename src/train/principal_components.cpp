// The objective "principal_components": the optimum of a linear network, computed instead of descended to.
#include "model/principal_components.hpp"

#include <utility>

#include "base/error.hpp"
#include "loss/linear_pair.hpp"
#include "recipe/checkpoint.hpp"
#include "recipe/config.hpp"
#include "train/makers.hpp"
#include "train/trainee.hpp"

namespace ae::train {
namespace {

class PrincipalComponents final : public Trainee {
 public:
  PrincipalComponents(recipe::Config& config, const recipe::Dataset& data)
      : config_(config), data_(data), pair_(new_pair(config, data)) {
    if (const auto complaint = loss::not_linear(pair_, config.loss.terms); !complaint.empty()) {
      throw UsageError(complaint + R"(, or "objective": {"type": "reconstruction"})");
    }
    const auto latent = pair_.network().latent_size(), elements = std::ssize(data.domain().elements);
    if (latent > elements) {
      throw UsageError("/model/latent: " + std::to_string(latent) + " principal components of " +
                       std::to_string(elements) + " columns; there are at most as many as columns");
    }
    refuse(!data.training_weights.empty(), "/data/weight");
    refuse(config.training.trim > 0, "/training/trim");
    refuse(config.training.corruption.size() > 0, "/training/corruption");
  }

  std::int64_t parameter_count() const override { return pair_.network().parameter_count(); }
  Work work() const override {
    const auto elements = static_cast<double>(data_.domain().elements.size());
    return {2 * static_cast<double>(data_.training->size()) * elements * elements, pair_.network().pool()};
  }
  Objective* begin() override { return nullptr; }  // no steps: all is done when the model is made

  void publish(const recipe::Arrays&, const Publication& to) override {
    const auto found = model::principal_components(*data_.training, pair_.network().latent_size(), to.reporter);
    if (!found.converged) {
      to.reporter.warning("alternating least squares has not converged after " + std::to_string(found.rounds) +
                          " rounds: with so many cells missing the optimum may not exist; train fewer components");
    }
    loss::project_on(pair_, found.spread.basis);
    recipe::Arrays weights;
    recipe::save_tensors("", pair_.network().state(), weights);
    const auto calibration =
        config_.score->calibrate({pair_, *data_.training, *data_.held_out,
                                  static_cast<std::uint64_t>(config_.training.seed), to.reporter, nullptr});
    recipe::write_checkpoint(
        to.model, {config_, *data_.kind, data_.training->has_missing(), weights, *config_.score, calibration,
                   to.training, recipe::profile_of(pair_, *config_.score, *data_.training, *data_.held_out)});
  }

 private:
  static void refuse(bool given, const char* setting) {
    if (!given) return;
    throw UsageError(std::string(setting) +
                     ": the objective principal_components takes no training steps; leave it out, or set "
                     R"("objective": {"type": "reconstruction"})");
  }
  static loss::Autoencoder new_pair(recipe::Config& config, const recipe::Dataset& data) {
    config.loss.resolve(data.domain().elements, config.model->variational());
    config.training.resolve(false);  // missing cells are left out, not learned to be filled
    score::resolve(config.score, data.domain(), config.model->has_network());
    return {*config.model, config.loss.terms, data.domain(), data.training->has_missing(),
            static_cast<std::uint64_t>(config.training.seed)};
  }

  recipe::Config& config_;
  const recipe::Dataset& data_;
  loss::Autoencoder pair_;
};

class PrincipalComponentsOptions final : public recipe::ObjectiveOptions {
 public:
  void fields(config::Fields&) override {}
  std::unique_ptr<Trainee> build(recipe::Config& config, const recipe::Dataset& data, Group&) const override {
    return std::make_unique<PrincipalComponents>(config, data);
  }
};

}  // namespace

const config::Entry<recipe::ObjectiveOptions> kPrincipalComponents{
    "principal_components",
    "The optimum of a linear network by mean squared error, exactly and without epochs: the principal components; of "
    "rows with missing cells those of the observed ones, by alternating least squares.",
    [] { return std::unique_ptr<recipe::ObjectiveOptions>(std::make_unique<PrincipalComponentsOptions>()); }};

}  // namespace ae::train
