// Score heads: from the pair's answer to one number per sample that is larger the stranger the sample, and to the share
// each element has in it. Fitted on normal samples, stored in the checkpoint.
//
// Adding a head: one class in a .cpp of this room, its maker in score/makers.hpp and one line in heads(). Help, JSON
// Schema, validation and the sweep tests follow from the registry.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/repeats.hpp"
#include "base/reporter.hpp"
#include "config/fields.hpp"
#include "data/bytes/safetensors.hpp"
#include "loss/autoencoder.hpp"

namespace ae::score {

using data::Arrays;

struct GoodImages;
class Pace;

// What a head may learn from: normal samples only.
struct FitContext {
  FitContext(const loss::Autoencoder& autoencoder, const model::Samples& training, const model::Samples& held_out,
             std::uint64_t seed, Reporter& reporter, const GoodImages* good_images = nullptr);
  // The same for one member of an ensemble.
  FitContext(const loss::Autoencoder& member, const FitContext& whole);

  const loss::Autoencoder& autoencoder;
  const model::Samples& training;  // the network learned from these
  const model::Samples& held_out;  // and not from these; may be empty
  std::uint64_t seed = 0;
  Reporter& reporter;
  const GoodImages* good_images = nullptr;  // of samples that are parts of images: held-out ones, whole
  // Which rows of a table are identical. Whatever leaves a row out leaves these out with it, and of scores that say
  // what new rows get, those of identical rows count once: otherwise a copy would answer for the row that is left out.
  std::shared_ptr<const Repeats> training_repeats, held_out_repeats;
};

// shares   [samples, elements] float64 (of images: elements = channels x height x width): their sum is the score
// expected [samples, elements] float64, network units: what would have been normal there
struct Answer {
  at::Tensor shares;
  at::Tensor expected;
};

class MapHead;
class SampleHead;

// What every head promises. How it answers depends on what it answers: samples, or whole images.
class Head : public config::Section {
 public:
  void fields(config::Fields&) override {}
  virtual bool judges(const model::Domain& domain) const { return !domain.gridded(); }
  virtual bool asks_network() const { return true; }  // or judges without its answer
  // The head that stands for another one on such data, or "": "map" for "loss" on images.
  virtual std::string_view stands_for(const model::Domain&) const { return {}; }
  // This head where it answers samples, or whole images; else null.
  virtual SampleHead* for_samples() { return nullptr; }
  virtual const MapHead* for_images() const { return nullptr; }
  const SampleHead* for_samples() const { return const_cast<Head*>(this)->for_samples(); }

  // Learns from normal samples, and returns scores of some as new ones would get them: what p-values are calibrated
  // with.
  virtual std::vector<double> calibrate(const FitContext& context) = 0;
  // What calibrate() learned, and back. restore() trusts nothing: InputError (its line begins with the array's name)
  // when arrays are missing, have other shapes or types than this pair needs, or hold impossible values.
  virtual Arrays state() const { return {}; }
  virtual void restore(const Arrays&, const loss::Autoencoder&) {}
};

// A head that answers samples, each by the shares that its elements have in the score.
class SampleHead : public Head {
 public:
  SampleHead* for_samples() override { return this; }
  using Head::for_samples;
  std::vector<double> calibrate(const FitContext& context) override;

  // Whether answer() judges a row by itself, in whatever batch it comes; else only in batches of one fixed height.
  virtual bool judges_rows_apart() const { return false; }
  virtual void fit(const FitContext&) {}
  // The answer for new samples, or, with `first_training` >= 0, for training samples first_training, first_training +
  // 1, ... as if they had not been trained on, as far as leaves_out() promises that. A sample's answer depends on
  // nothing but its observed elements, in batches as judges_rows_apart() says.
  virtual Answer answer(const loss::Autoencoder& autoencoder, const model::Batch& batch,
                        std::int64_t first_training = -1) const = 0;
  // Whether training samples are answered as new ones would be: nothing scores itself.
  virtual bool leaves_out() const { return false; }
};

using HeadList = config::VariantList<Head>;

// loss, normalized, mahalanobis, masked, neighbours, prototypes, map, fusion
std::span<const config::Entry<Head>> heads();

std::span<const config::Entry<Head>> fusable_heads();  // those that "fusion" may combine: all others

// Replaces a head that does not judge such data by the one that stands for it there. UsageError when there is none,
// naming those that do, or when the head asks a network that the model does not have.
void resolve(config::Variant<Head>& head, const model::Domain& domain, bool has_network);

// scores [samples]; shares and expected [samples, elements] float64, contiguous (expected in network units).
// Every row of `shares` sums to its score exactly, in any order of summation.
struct Scored {
  std::vector<double> scores;
  at::Tensor shares;
  at::Tensor expected;
};
Scored score(const loss::Autoencoder& autoencoder, const SampleHead& head, const model::Batch& batch,
             std::int64_t first_training = -1);

// Scores of a whole set, in batches; `training`: the set is the one the pair was trained on (see SampleHead::answer).
// `pace`, if given, is told of every batch.
std::vector<double> scores_of(const loss::Autoencoder& autoencoder, const SampleHead& head,
                              const model::Samples& samples, bool training = false, Pace* pace = nullptr);

// Scores of normal rows as new rows would get them: of the held-out rows, and of the training rows when the head
// answers them honestly; one of identical rows. What p-values are calibrated with.
std::vector<double> honest_scores(const FitContext& context, const SampleHead& head);

// Rounds shares of one row to multiples of a power of two about 2^-51 of their absolute sum: sums of such numbers
// are exact in double, hence the same in any order. Returns the sum.
double make_sum_exact(double* shares, std::int64_t count);

}  // namespace ae::score
