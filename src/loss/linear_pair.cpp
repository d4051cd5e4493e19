#include "loss/linear_pair.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include "base/text.hpp"

namespace ae::loss {
namespace {

constexpr const char* kUseLinear = R"(; set "model": {"type": "linear"})";
constexpr const char* kUseMse = R"(; set "loss": {"terms": [{"type": "mse"}]})";

struct Maps {
  model::StemPlan stem;
  model::AffinePlan encoder, decoder;
};

Maps maps_of(const Autoencoder& autoencoder) {
  const auto plan = autoencoder.network().dense_plan();
  return {plan->stem, plan->layers.front().affine, plan->layers.back().affine};
}

// Of the decoder, elements x components.
at::Tensor decoder_weight(const model::AffinePlan& decoder) {
  return (decoder.tied ? decoder.weight.t() : decoder.weight).to(torch::kFloat64);
}

}  // namespace

std::string not_linear(const Autoencoder& autoencoder, const TermList& terms) {
  const auto plan = autoencoder.has_network() ? autoencoder.network().dense_plan() : std::nullopt;
  if (!plan) return std::string("/model/type: is no network of table cells") + kUseLinear;
  if (plan->members > 1) return std::string("/model/members: several networks are not one linear one") + kUseLinear;
  if (!plan->log_variance.empty()) return std::string("/model/type: is variational") + kUseLinear;
  if (plan->layers.size() != 2) return std::string("/model/hidden: hidden layers are not linear") + kUseLinear;
  if (plan->stem.show_observed) {
    return std::string("/model/observed_input: a network that is shown which cells are missing is not linear in them") +
           kUseLinear;
  }
  if (!plan->stem.categorical.empty()) {
    const auto& name = autoencoder.elements().at(static_cast<std::size_t>(plan->stem.categorical.front())).name;
    return "/data: column " + ae::quoted(name) +
           R"( holds categories, which have no principal components; set its role to "ignore" in /data/columns)";
  }
  if (terms.size() != 1 || terms[0].type() != "mse" || !terms[0]->columns.empty() || terms[0]->weight <= 0) {
    return std::string("/loss/terms: is not the mean squared error of all columns") + kUseMse;
  }
  return "";
}

model::Basis decoder_basis(const Autoencoder& autoencoder) {
  const torch::NoGradGuard no_grad;
  const auto decoder = maps_of(autoencoder).decoder;
  // Left singular vectors: of a decoder with dependent columns, too, as many as it has columns.
  return {decoder.bias.to(torch::kFloat64), std::get<0>(torch::linalg_svd(decoder_weight(decoder), false))};
}

at::Tensor linear_answer(const Autoencoder& autoencoder, const model::Batch& batch) {
  const torch::NoGradGuard no_grad;
  const auto maps = maps_of(autoencoder);
  const auto shown = (batch.values * batch.observed).to(torch::kFloat64);
  const auto inputs = shown.index_select(1, torch::tensor(maps.stem.numeric, torch::kInt64));
  const auto codes =
      torch::addmm(maps.encoder.bias.to(torch::kFloat64), inputs, maps.encoder.weight.to(torch::kFloat64).t());
  return torch::addmm(maps.decoder.bias.to(torch::kFloat64), codes, decoder_weight(maps.decoder).t());
}

void project_on(const Autoencoder& autoencoder, const model::Basis& basis) {
  const torch::NoGradGuard no_grad;
  const auto maps = maps_of(autoencoder);
  const auto inputs = torch::tensor(maps.stem.numeric, torch::kInt64);
  const auto rows = basis.axes.index_select(0, inputs);
  const auto copy = [](at::Tensor to, const at::Tensor& from) { to.copy_(from); };
  copy(maps.encoder.weight, rows.t());
  copy(maps.encoder.bias, -rows.t().mv(basis.center.index_select(0, inputs)));
  if (!maps.decoder.tied) copy(maps.decoder.weight, basis.axes);
  copy(maps.decoder.bias, basis.center);
}

}  // namespace ae::loss
