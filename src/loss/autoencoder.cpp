#include "loss/autoencoder.hpp"

#include <torch/torch.h>

#include "base/random.hpp"

namespace ae::loss {

Autoencoder::Autoencoder(const model::Family& family, const TermList& terms, std::vector<model::Element> elements,
                         bool observed_matters, std::uint64_t seed)
    : loss_(terms, std::move(elements), family.variational()) {
  torch::manual_seed(stream_key(seed, "weights"));
  network_ = family.build({loss_.elements(), loss_.outputs(), observed_matters});
}

namespace {

// Matrix products of different heights may differ in the last bit. Batches are therefore computed in pieces of one
// fixed height (the last one padded), so that a sample's answer does not depend on which samples it came with.
constexpr std::int64_t kPiece = 256;

at::Tensor padded_piece(const at::Tensor& all, std::int64_t begin, std::int64_t rows) {
  const auto piece = all.narrow(0, begin, rows);
  if (rows == kPiece) return piece;
  return torch::cat({piece, torch::zeros({kPiece - rows, all.size(1)}, all.options())});
}

}  // namespace

Reconstruction Autoencoder::reconstruct(const model::Batch& batch) const {
  const torch::NoGradGuard no_grad;
  network_->set_training(false);
  std::vector<at::Tensor> elements, expected, latent;
  for (std::int64_t begin = 0; begin < batch.samples(); begin += kPiece) {
    const std::int64_t rows = std::min(kPiece, batch.samples() - begin);
    const model::Batch piece{padded_piece(batch.values, begin, rows), padded_piece(batch.observed, begin, rows)};
    const auto output = network_->forward(piece);
    elements.push_back(loss_.evaluate(output, piece).elements.narrow(0, 0, rows));
    expected.push_back(loss_.expected(output.prediction).narrow(0, 0, rows));
    latent.push_back(output.code.latent.narrow(0, 0, rows));
  }
  return {torch::cat(elements), torch::cat(expected), torch::cat(latent)};
}

}  // namespace ae::loss
