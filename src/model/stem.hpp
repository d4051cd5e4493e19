// The first layer of every table network: cells to network inputs.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "model/batch.hpp"
#include "model/dense_plan.hpp"

namespace ae::model {

// A learned vector for each code of a category. weight [codes, size], of several members [members, codes, size].
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(std::int64_t codes, std::int64_t size, std::int64_t members);
  torch::Tensor forward(const torch::Tensor& code);  // [samples] -> [samples, size]
  const torch::Tensor& weight() const { return weight_; }

 private:
  std::int64_t members_;
  torch::Tensor weight_;
};
TORCH_MODULE(Embedding);

// Inputs per element: a number is one (0 where not observed), a category its one-hot code or its embedding (zeros where
// not observed); with `show_observed`, one more 0/1 input per element that tells the network what it really sees.
class StemImpl : public torch::nn::Module {
 public:
  // embedding_size 0 = one-hot. Several members (see model::Network) have embeddings of their own.
  StemImpl(const std::vector<Element>& elements, std::int64_t embedding_size, bool show_observed, std::int64_t members);
  torch::Tensor forward(const Batch& batch);
  std::int64_t inputs() const { return inputs_; }
  StemPlan plan() const;

 private:
  std::vector<std::int64_t> numeric_;
  std::vector<std::int64_t> categorical_;
  std::vector<std::int64_t> codes_;
  bool all_plain_ = true;  // only numeric, no constant element: the values are the inputs
  bool show_observed_;
  std::int64_t inputs_ = 0;
  torch::Tensor numeric_index_;        // indices of numeric elements that vary
  std::vector<Embedding> embeddings_;  // one per categorical element, or none (one-hot)
};
TORCH_MODULE(Stem);

}  // namespace ae::model
