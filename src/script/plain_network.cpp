#include "script/plain_network.hpp"

#include <torch/types.h>
#include <torch/utils.h>

namespace ae::script {
namespace {

// A copy in float64 with the members in front.
at::Tensor stacked(const at::Tensor& own, std::int64_t members) {
  const auto exact = own.detach().to(torch::kFloat64, /*non_blocking=*/false, /*copy=*/true);
  return members == 1 ? exact.unsqueeze(0) : exact;
}

at::Tensor row(const at::Tensor& own, std::int64_t members) { return stacked(own, members).unsqueeze(1); }

PlainLayer plain(const model::LayerPlan& plan, std::int64_t members) {
  PlainLayer layer;
  layer.weight = stacked(plan.affine.weight, members);
  if (!plan.affine.tied) layer.weight = layer.weight.transpose(1, 2);
  layer.bias = row(plan.affine.bias, members);
  layer.activation = plan.activation;
  const auto& norm = plan.norm;
  if (norm.kind == model::NormKind::layer) {
    layer.scale = row(norm.scale, members);
    layer.shift = row(norm.shift, members);
  } else if (norm.kind == model::NormKind::batch) {
    const auto factor = row(norm.scale, members) / (row(norm.running_variance, members) + model::kNormEpsilon).sqrt();
    layer.weight = layer.weight * factor;
    layer.bias = (layer.bias - row(norm.running_mean, members)) * factor + row(norm.shift, members);
  }
  layer.weight = layer.weight.contiguous();
  return layer;
}

model::StemPlan exact(model::StemPlan stem, std::int64_t members) {
  for (auto& embedding : stem.embeddings) embedding = stacked(embedding, members);
  return stem;
}

PlainNetwork of_dense(const model::DensePlan& plan) {
  PlainNetwork network;
  network.members = plan.members;
  network.stem = exact(plan.stem, plan.members);
  for (std::size_t l = 0; l < plan.layers.size(); ++l)
    (l <= plan.bottleneck ? network.encoder : network.decoder).push_back(plain(plan.layers[l], plan.members));
  network.latent = network.encoder.back().weight.size(2);
  return network;
}

PlainNetwork of_factors(const model::FactorPlan& plan) {
  PlainNetwork network;
  network.members = plan.members;
  network.stem = exact(plan.stem, plan.members);
  network.factors = {plan.element_of_input, stacked(plan.loadings, plan.members), row(plan.center, plan.members),
                     torch::exp(-2 * row(plan.log_noise, plan.members))};
  network.latent = network.factors->loadings.size(2);
  const auto linear = plain({plan.linear, {}, "", 0}, plan.members);
  if (plan.layers.empty()) {
    network.decoder.push_back(linear);
  } else {
    network.beside = linear;
    for (const auto& layer : plan.layers) network.decoder.push_back(plain(layer, plan.members));
  }
  return network;
}

}  // namespace

std::optional<PlainNetwork> plain_network(const model::Network& network) {
  const torch::NoGradGuard no_grad;
  if (const auto dense = network.dense_plan()) return of_dense(*dense);
  if (const auto factors = network.factor_plan()) return of_factors(*factors);
  return std::nullopt;
}

}  // namespace ae::script
