#include "model/stem.hpp"

#include <string>

#include "model/module_network.hpp"

namespace ae::model {

EmbeddingImpl::EmbeddingImpl(std::int64_t codes, std::int64_t size, std::int64_t members)
    : members_(members),
      weight_(register_parameter("weight", torch::empty(stacked_shape(members, {codes, size})).normal_())) {
  const torch::NoGradGuard no_grad;
  // An unseen level is never trained: it starts and stays neutral instead of pointing in a random direction.
  weight_.select(-2, codes - 1).zero_();
}

torch::Tensor EmbeddingImpl::forward(const torch::Tensor& code) {
  if (members_ == 1) return torch::embedding(weight_, code);
  const auto first = torch::arange(members_, torch::kInt64).unsqueeze(1) * weight_.size(1);
  return torch::embedding(weight_.flatten(0, 1), (code.view({members_, -1}) + first).flatten());
}

StemImpl::StemImpl(const std::vector<Element>& elements, std::int64_t embedding_size, bool show_observed,
                   std::int64_t members)
    : show_observed_(show_observed) {
  for (std::size_t e = 0; e < elements.size(); ++e) {
    const auto index = static_cast<std::int64_t>(e);
    if (elements[e].categorical()) {
      categorical_.push_back(index);
      codes_.push_back(elements[e].codes);
    } else if (!elements[e].constant) {
      numeric_.push_back(index);
    }
  }
  all_plain_ = numeric_.size() == elements.size();
  numeric_index_ = torch::tensor(numeric_, torch::kInt64);
  inputs_ = static_cast<std::int64_t>(numeric_.size());
  for (std::size_t c = 0; c < categorical_.size(); ++c) {
    if (embedding_size > 0) {
      embeddings_.emplace_back(register_module("embedding_" + std::to_string(categorical_[c]),
                                               Embedding(codes_[c], embedding_size, members)));
      inputs_ += embedding_size;
    } else {
      inputs_ += codes_[c] - 1;  // an unseen level is all zeros
    }
  }
  if (show_observed_) inputs_ += static_cast<std::int64_t>(elements.size());
}

torch::Tensor StemImpl::forward(const Batch& batch) {
  auto seen = batch.values * batch.observed;
  if (all_plain_ && !show_observed_) return seen;
  std::vector<torch::Tensor> parts;
  parts.push_back(all_plain_ ? seen : seen.index_select(1, numeric_index_));
  for (std::size_t c = 0; c < categorical_.size(); ++c) {
    const auto code = batch.values.select(1, categorical_[c]).to(torch::kInt64).clamp(0, codes_[c] - 1);
    const auto observed = batch.observed.select(1, categorical_[c]).unsqueeze(1);
    const auto encoded = embeddings_.empty() ? torch::one_hot(code, codes_[c]).narrow(1, 0, codes_[c] - 1)
                                             : embeddings_[c]->forward(code);
    parts.push_back(encoded.to(batch.values.scalar_type()) * observed);
  }
  if (show_observed_) parts.push_back(batch.observed);
  return torch::cat(parts, 1);
}

StemPlan StemImpl::plan() const {
  StemPlan plan{numeric_, categorical_, codes_, {}, show_observed_, inputs_};
  for (const auto& embedding : embeddings_) plan.embeddings.push_back(embedding->weight());
  return plan;
}

}  // namespace ae::model
