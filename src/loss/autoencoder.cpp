#include "loss/autoencoder.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "loss/codes.hpp"
#include "model/threads.hpp"

namespace ae::loss {

Autoencoder::Autoencoder(const model::Family& family, const TermList& terms, const model::Domain& domain,
                         bool observed_matters, std::uint64_t seed)
    : loss_(terms, domain, family.variational()), has_network_(family.has_network()) {
  if (family.has_network() && family.reads_grids() != domain.gridded()) {
    std::vector<std::string> fitting;
    for (const auto& entry : model::families()) {
      if (const auto other = entry.make(); other->has_network() && other->reads(domain))
        fitting.push_back(ae::quoted(entry.name));
    }
    throw UsageError("/model/type: this family does not read " + std::string(domain.noun()) +
                     ", which the data are; use " + ae::join(fitting, " or "));
  }
  if (!loss_.constants().empty() && !family.has_constants()) {
    throw UsageError(
        "/model/type: this family has nothing for the dispersions that terms of counts learn; use \"dense\"");
  }
  torch::manual_seed(stream_key(seed, "weights"));
  network_ = family.build({domain, loss_.outputs(), observed_matters, loss_.constants()});
  for (std::int64_t m = 0; members() > 1 && m < members(); ++m) {
    members_.push_back(Autoencoder(loss_, network_->member(m)));
  }
}

Autoencoder::Autoencoder(const Composition& loss, std::shared_ptr<model::Network> network)
    : loss_(loss), network_(std::move(network)) {}

const Autoencoder& Autoencoder::member(std::int64_t m) const {
  return members_.empty() ? *this : members_.at(static_cast<std::size_t>(m));
}

namespace {

// Matrix products of different heights may differ in the last bit. Batches are therefore computed in pieces of one
// fixed height (the last one padded), so that a sample's answer does not depend on which samples it came with, but
// where the network sees to that itself.
constexpr std::int64_t kMostPieceImages = 256;
constexpr std::int64_t kPiecePixels = 1 << 17;

std::int64_t piece_samples(const model::Batch& batch) {
  if (batch.values.dim() == 2) return model::piece_rows(batch.values.size(1));
  return std::clamp<std::int64_t>(kPiecePixels / (batch.values.size(2) * batch.values.size(3)), 1, kMostPieceImages);
}

std::int64_t piece_samples(const model::Network& network, const model::Batch& batch) {
  return network.answers_samples_apart() ? std::max<std::int64_t>(1, batch.samples()) : piece_samples(batch);
}

at::Tensor padded_piece(const at::Tensor& all, std::int64_t begin, std::int64_t samples, std::int64_t piece,
                        double padding = 0) {
  if (!all.defined()) return all;
  auto part = all.narrow(0, begin, samples);
  if (samples == piece) return part;
  auto rest = all.sizes().vec();
  rest[0] = piece - samples;
  return torch::cat({part, torch::full(rest, padding, all.options())});
}

model::Batch padded_piece(const model::Batch& all, std::int64_t begin, std::int64_t samples, std::int64_t piece) {
  return {padded_piece(all.values, begin, samples, piece), padded_piece(all.observed, begin, samples, piece),
          padded_piece(all.sizes, begin, samples, piece, 1)};
}

// Calls work(piece, begin, samples) for all pieces of the batch, of `height` samples each: side by side where there are
// enough of them to keep all threads busy, else one after another, each on all threads.
template <typename Work>
void for_each_piece(const model::Batch& batch, std::int64_t height, const Work& work) {
  const auto one = [&](std::int64_t begin) {
    const torch::NoGradGuard no_grad;
    work(static_cast<std::size_t>(begin / height), begin, std::min(height, batch.samples() - begin));
  };
  if (batch.samples() > height && batch.samples() >= height * model::threads_in_use()) {
    model::share_out(batch.samples(), height, [&](std::int64_t begin, std::int64_t) { one(begin); });
  } else {
    for (std::int64_t begin = 0; begin < batch.samples(); begin += height) one(begin);
  }
}

std::size_t pieces_of(const model::Batch& batch, std::int64_t height) {
  return static_cast<std::size_t>((batch.samples() + height - 1) / height);
}

}  // namespace

model::Output Autoencoder::output(const model::Batch& batch) const {
  auto output = network_->forward(batch.repeated(members()));
  if (members() == 1) return output;
  const auto blocks = [&](const at::Tensor& tensor) { return tensor.unflatten(0, {members(), batch.samples()}); };
  const auto side_by_side = [&](const at::Tensor& code) {
    return code.defined() ? blocks(code).transpose(0, 1).flatten(1, 2) : code;
  };
  return {blocks(output.prediction).mean(0),
          {side_by_side(output.code.latent), side_by_side(output.code.mean), side_by_side(output.code.log_variance)}};
}

Reconstruction Autoencoder::reconstruct(const model::Batch& seen, const model::Batch& target) const {
  network_->set_training(false);
  const std::int64_t height = piece_samples(*network_, target);
  const std::size_t pieces = pieces_of(target, height);
  std::vector<at::Tensor> elements(pieces), expected(pieces), latent(pieces);
  for_each_piece(target, height, [&](std::size_t piece, std::int64_t begin, std::int64_t samples) {
    const auto output = this->output(padded_piece(seen, begin, samples, height));
    elements[piece] =
        loss_.applied(output, padded_piece(target, begin, samples, height)).elements.narrow(0, 0, samples);
    expected[piece] = loss_.expected(output.prediction).narrow(0, 0, samples);
    latent[piece] = output.code.latent.narrow(0, 0, samples);
  });
  return {torch::cat(elements), torch::cat(expected), torch::cat(latent)};
}

at::Tensor Autoencoder::prediction(const model::Batch& batch) const {
  network_->set_training(false);
  const std::int64_t height = piece_samples(*network_, batch);
  std::vector<at::Tensor> predictions(pieces_of(batch, height));
  for_each_piece(batch, height, [&](std::size_t piece, std::int64_t begin, std::int64_t samples) {
    predictions[piece] = output(padded_piece(batch, begin, samples, height)).prediction.narrow(0, 0, samples);
  });
  return torch::cat(predictions);
}

at::Tensor Autoencoder::differentiable_expected(const model::Batch& batch) const {
  network_->set_training(false);
  return loss_.expected(output(batch).prediction);
}

Counts Autoencoder::counts(const model::Batch& batch) const {
  const torch::NoGradGuard no_grad;
  const auto all = prediction(batch);
  const auto sizes = batch.sizes.defined() ? batch.sizes.unsqueeze(1) : batch.sizes;
  return {loss_.detection(all, sizes), loss_.conditional(all, sizes), loss_.expected(all), all, sizes};
}

at::Tensor Autoencoder::draw(const Counts& counts, const CountDraw& what, at::Generator& random) const {
  const torch::NoGradGuard no_grad;
  return loss_.draw(counts.prediction, counts.sizes, what, random);
}

at::Tensor codes(const Autoencoder& autoencoder, const model::Batch& batch) {
  auto& network = autoencoder.network();
  network.set_training(false);
  const std::int64_t height = piece_samples(batch), members = autoencoder.members();
  std::vector<at::Tensor> codes(pieces_of(batch, height));
  const auto one = [&](std::int64_t begin, std::int64_t end) {
    const torch::NoGradGuard no_grad;
    const auto piece = padded_piece(batch, begin, end - begin, height);
    const auto latent = network.encode(piece.repeated(members)).latent.flatten(1);
    const auto own = latent.unflatten(0, {members, height}).transpose(0, 1).flatten(1);
    codes[static_cast<std::size_t>(begin / height)] = own.narrow(0, 0, end - begin).contiguous();
  };
  if (codes.size() > 1) {
    model::share_out(batch.samples(), height, one);
  } else {  // products by several threads may differ in the last bit from those by one
    const model::SerialLibraries serial;
    one(0, batch.samples());
  }
  return torch::cat(codes).to(torch::kFloat32);
}

}  // namespace ae::loss
