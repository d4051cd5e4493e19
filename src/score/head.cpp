#include "score/head.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "model/dtypes.hpp"
#include "model/threads.hpp"
#include "score/makers.hpp"
#include "score/maps.hpp"
#include "score/memberwise.hpp"
#include "score/pace.hpp"

namespace ae::score {
namespace {

// The reconstruction loss itself: the weighted mean over the observed elements.
class LossHead final : public SampleHead {
 public:
  bool judges_rows_apart() const override { return true; }
  Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch, std::int64_t) const override {
    const auto reconstruction = autoencoder.reconstruct(batch);
    const auto observed = batch.observed.flatten(1).sum(1, true).clamp_min(1).to(torch::kFloat64);
    return {reconstruction.elements.flatten(1).to(torch::kFloat64) / observed,
            reconstruction.expected.flatten(1).to(torch::kFloat64)};
  }
};

constexpr std::array<config::Entry<Head>, 8> kHeads{{
    {"loss", "The reconstruction loss of a row: the weighted mean over its observed cells; of images, \"map\".",
     [] { return std::unique_ptr<Head>(std::make_unique<Memberwise<LossHead>>()); }},
    {"normalized", "The loss of each column relative to its mean on normal rows.", make_normalized},
    {"mahalanobis", "Mahalanobis distance of the residual, or of residual and latent code together.", make_mahalanobis},
    {"masked", "How well each cell is reconstructed from the others, with groups of cells hidden in turn.",
     make_masked},
    {"neighbours", "How well the nearest normal training rows, kept in the model, reconstruct the row.",
     make_neighbours},
    {"prototypes", "How well cells of normal rows, kept as centres and spreads without any row, reconstruct the row.",
     make_prototypes},
    {"map", "The error map of an image: its most erroneous pixels, against those of held-out good images.", make_map},
    {"fusion", "Several heads in one score, each relative to what it gives normal rows.", make_fusion},
}};

constexpr std::int64_t kSamplesAtOnce = 1024;
constexpr std::int64_t kPixelsAtOnce = 1 << 20;

std::int64_t samples_at_once(const model::Domain& domain) {
  if (domain.gridded()) {
    return std::clamp<std::int64_t>(kPixelsAtOnce / domain.positions(), 1, kSamplesAtOnce);
  }
  const auto elements = static_cast<std::int64_t>(domain.elements.size());
  return std::min(model::block_rows(elements, elements, model::threads_in_use()), kSamplesAtOnce);
}

// Of table rows: see model::piece_rows().
at::Tensor padded(const at::Tensor& rows, std::int64_t begin, std::int64_t end, std::int64_t height,
                  double padding = 0) {
  if (!rows.defined()) return rows;
  auto part = rows.narrow(0, begin, end - begin);
  if (end - begin == height) return part;
  auto rest = rows.sizes().vec();
  rest[0] = height - (end - begin);
  return torch::cat({part, torch::full(rest, padding, rows.options())});
}

Answer answer_in_pieces(const loss::Autoencoder& autoencoder, const SampleHead& head, const model::Batch& batch,
                        std::int64_t first_training) {
  if (batch.values.dim() != 2 || head.judges_rows_apart()) return head.answer(autoencoder, batch, first_training);
  const std::int64_t height = model::piece_rows(batch.values.size(1));
  const auto pieces = static_cast<std::size_t>((batch.samples() + height - 1) / height);
  std::vector<at::Tensor> shares(pieces), expected(pieces);
  const auto work = [&](std::int64_t begin, std::int64_t end) {
    throw_if_stopped("scoring");
    const torch::NoGradGuard no_grad;  // counts for this thread only
    const auto answer =
        head.answer(autoencoder,
                    {padded(batch.values, begin, end, height), padded(batch.observed, begin, end, height),
                     padded(batch.sizes, begin, end, height, 1)},
                    first_training < 0 ? -1 : first_training + begin);
    const auto piece = static_cast<std::size_t>(begin / height);
    shares[piece] = answer.shares.narrow(0, 0, end - begin);
    expected[piece] = answer.expected.narrow(0, 0, end - begin);
  };
  if (head.asks_network()) {
    // The network has one mode at a time, and its products share out themselves.
    for (std::int64_t begin = 0; begin < batch.samples(); begin += height) {
      work(begin, std::min(begin + height, batch.samples()));
    }
  } else {
    model::share_out(batch.samples(), height, work);
  }
  return {torch::cat(shares), torch::cat(expected)};
}

}  // namespace

std::span<const config::Entry<Head>> heads() { return kHeads; }

// Members of "fusion" are of this registry too; it would contain itself.
std::span<const config::Entry<Head>> fusable_heads() {
  static const std::vector<config::Entry<Head>> others = [] {
    std::vector<config::Entry<Head>> found;
    std::copy_if(kHeads.begin(), kHeads.end(), std::back_inserter(found),
                 [](const config::Entry<Head>& entry) { return entry.make != make_fusion; });
    return found;
  }();
  return others;
}

namespace {

constexpr std::uint64_t kNotObserved = ~std::uint64_t{0};

// The same for cells that say the same.
std::uint64_t meaning_of(float value, float observed) {
  return observed != 0 ? std::bit_cast<std::uint32_t>(value + 0.0f) : kNotObserved;
}

bool chance_explains(const Repeats& repeats, const model::Samples& samples) {
  Coincidences chance(repeats, samples.size());
  const auto batch = samples.batch(chance.rows());
  const auto values = batch.values.t().contiguous(), observed = batch.observed.t().contiguous();
  std::vector<std::uint64_t> cells(chance.rows().size());
  for (std::int64_t column = 0; column < values.size(0); ++column) {
    const float* value = values.data_ptr<float>() + column * values.size(1);
    const float* seen = observed.data_ptr<float>() + column * values.size(1);
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = meaning_of(value[i], seen[i]);
    chance.add_column(cells);
  }
  return chance.explain();
}

// By the bytes of values, of what is observed and of sizes; images are not compared. None where new rows will repeat
// these as well.
std::shared_ptr<const Repeats> repeats_of(const model::Samples& samples, const model::Domain& domain) {
  if (domain.gridded() || samples.size() == 0) return std::make_shared<Repeats>();
  const std::int64_t at_once = samples_at_once(domain);
  std::vector<std::uint64_t> hashes;
  hashes.reserve(static_cast<std::size_t>(samples.size()));
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    throw_if_stopped("comparing rows");
    const auto batch = samples.range(begin, std::min(begin + at_once, samples.size()));
    const auto values = batch.values.contiguous(), observed = batch.observed.contiguous();
    const auto sizes = batch.sizes.defined() ? batch.sizes.contiguous() : batch.sizes;
    const float* value = values.data_ptr<float>();
    const float* seen = observed.data_ptr<float>();
    const std::int64_t elements = values.size(1);
    for (std::int64_t i = 0; i < batch.samples(); ++i) {
      std::uint64_t hash = sizes.defined() ? meaning_of(sizes.data_ptr<float>()[i], 1) : 0;
      for (std::int64_t j = 0; j < elements; ++j, ++value, ++seen) {
        hash = mix64(hash ^ meaning_of(*value, *seen));
      }
      hashes.push_back(hash);
    }
  }
  auto repeats = std::make_shared<Repeats>(hashes);
  if (repeats->any() && chance_explains(*repeats, samples)) return std::make_shared<Repeats>();
  return repeats;
}

// Without those of rows that repeat an earlier one, whose score is the same.
std::vector<double> once_each(const std::vector<double>& scores, const Repeats& repeats) {
  std::vector<double> once;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    if (repeats.first(row) == row) once.push_back(scores[i]);
  }
  return once;
}

}  // namespace

FitContext::FitContext(const loss::Autoencoder& autoencoder, const model::Samples& training,
                       const model::Samples& held_out, std::uint64_t seed, Reporter& reporter,
                       const GoodImages* good_images)
    : autoencoder(autoencoder),
      training(training),
      held_out(held_out),
      seed(seed),
      reporter(reporter),
      good_images(good_images),
      training_repeats(repeats_of(training, autoencoder.domain())),
      held_out_repeats(repeats_of(held_out, autoencoder.domain())) {}

FitContext::FitContext(const loss::Autoencoder& member, const FitContext& whole)
    : autoencoder(member),
      training(whole.training),
      held_out(whole.held_out),
      seed(whole.seed),
      reporter(whole.reporter),
      good_images(whole.good_images),
      training_repeats(whole.training_repeats),
      held_out_repeats(whole.held_out_repeats) {}

std::vector<double> SampleHead::calibrate(const FitContext& context) {
  fit(context);
  return honest_scores(context, *this);
}

namespace {

std::string names_of_heads(const std::function<bool(const Head&)>& fits) {
  std::vector<std::string> names;
  for (const auto& entry : heads()) {
    if (fits(*entry.make())) names.push_back(ae::quoted(entry.name));
  }
  return ae::join(names, " or ");
}

}  // namespace

void resolve(config::Variant<Head>& head, const model::Domain& domain, bool has_network) {
  for (const auto& entry : heads()) {
    if (!head->judges(domain) && entry.make()->stands_for(domain) == head.type()) head.select(entry.name);
  }
  if (!head->judges(domain)) {
    throw UsageError("/score/type: this head does not judge " + std::string(domain.noun()) +
                     ", which the data are; use " +
                     names_of_heads([&](const Head& other) { return other.judges(domain); }));
  }
  if (!has_network && head->asks_network()) {
    const auto others =
        names_of_heads([&](const Head& other) { return other.judges(domain) && !other.asks_network(); });
    throw UsageError("/score/type: " + ae::quoted(head.type()) +
                     " asks the network, and /model/type \"none\" has none; use " +
                     (others.empty() ? "" : others + ", or ") + "a model with a network");
  }
}

at::Tensor from_arrays(const Arrays& arrays, const std::string& name, data::Dtype dtype,
                       const std::vector<std::int64_t>& shape) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) {
    throw InputError(ae::quoted(name) + " of the score head is missing; the file is not a whole checkpoint");
  }
  const data::NamedArray& array = found->second;
  bool fits = array.dtype == dtype && array.shape.size() == shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == array.shape[i];
  if (!fits) {
    throw InputError(ae::quoted(name) + " of the score head is " + std::string(data::dtype_name(array.dtype)) + " " +
                     data::shape_text(array.shape) + "; this model needs " + std::string(data::dtype_name(dtype)) +
                     " " + data::shape_text(shape));
  }
  return model::to_tensor(array);
}

double make_sum_exact(double* shares, std::int64_t count) {
  double magnitude = 0;
  for (std::int64_t j = 0; j < count; ++j) magnitude += std::abs(shares[j]);
  if (magnitude == 0 || !std::isfinite(magnitude)) return magnitude;
  const double quantum = std::ldexp(1.0, std::max(std::ilogb(magnitude) - 51, -1074));
  // No quotient reaches 2^52, from where on doubles are whole numbers: adding it rounds as std::nearbyint() does.
  constexpr double kWhole = 0x1p52;
  double sum = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    const double quotient = shares[j] / quantum;
    const double whole = (std::abs(quotient) + kWhole) - kWhole;
    shares[j] = std::copysign(whole, quotient) * quantum;
    sum += shares[j];
  }
  return sum;
}

Scored score(const loss::Autoencoder& autoencoder, const SampleHead& head, const model::Batch& batch,
             std::int64_t first_training) {
  const torch::NoGradGuard no_grad;
  const auto answer = answer_in_pieces(autoencoder, head, batch, first_training);
  Scored scored;
  scored.shares = answer.shares.contiguous();
  scored.expected = answer.expected.contiguous();
  const std::int64_t elements = scored.shares.size(1);
  scored.scores.resize(static_cast<std::size_t>(batch.samples()));
  for (std::int64_t i = 0; i < batch.samples(); ++i) {
    scored.scores[static_cast<std::size_t>(i)] =
        make_sum_exact(scored.shares.data_ptr<double>() + i * elements, elements);
  }
  return scored;
}

std::vector<double> scores_of(const loss::Autoencoder& autoencoder, const SampleHead& head,
                              const model::Samples& samples, bool training, Pace* pace) {
  std::vector<double> all;
  all.reserve(static_cast<std::size_t>(samples.size()));
  const std::int64_t at_once = samples_at_once(autoencoder.domain());
  for (std::int64_t begin = 0; begin < samples.size(); begin += at_once) {
    const auto batch = samples.range(begin, std::min(begin + at_once, samples.size()));
    const auto scored = score(autoencoder, head, batch, training ? begin : -1);
    all.insert(all.end(), scored.scores.begin(), scored.scores.end());
    if (pace != nullptr) pace->advance(batch.samples());
  }
  return all;
}

std::vector<double> honest_scores(const FitContext& context, const SampleHead& head) {
  const bool all = head.leaves_out();
  Pace pace(context.reporter, "rows", context.held_out.size() + (all ? context.training.size() : 0), "calibrating");
  auto scores =
      once_each(scores_of(context.autoencoder, head, context.held_out, false, &pace), *context.held_out_repeats);
  if (!all) return scores;
  const auto training =
      once_each(scores_of(context.autoencoder, head, context.training, true, &pace), *context.training_repeats);
  scores.insert(scores.end(), training.begin(), training.end());
  return scores;
}

}  // namespace ae::score
