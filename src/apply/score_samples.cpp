#include "apply/score_samples.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "apply/streams.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/tables/schema.hpp"
#include "score/head.hpp"

namespace ae::apply {
namespace {

// Rows chosen by --rows and --exclude-rows.
class RowFilter {
 public:
  explicit RowFilter(const SampleOptions& options) : options_(options) {
    if (!options.only.empty()) only_ = data::read_row_numbers(options.only, -1);
    if (!options.exclude.empty()) excluded_ = data::read_row_numbers(options.exclude, -1);
    all_ = options.only.empty() && options.exclude.empty();
    has_only_ = !options.only.empty();
  }
  // How many rows there are is known at the end only. A number beyond them belongs to another table.
  void check(std::int64_t rows) const {
    if (!only_.empty() && only_.back() >= rows) data::read_row_numbers(options_.only, rows);
    if (!excluded_.empty() && excluded_.back() >= rows) data::read_row_numbers(options_.exclude, rows);
  }
  bool keeps(std::int64_t row) const {
    if (all_) return true;
    if (has_only_ && !std::binary_search(only_.begin(), only_.end(), row)) return false;
    return !std::binary_search(excluded_.begin(), excluded_.end(), row);
  }

 private:
  const SampleOptions& options_;
  std::vector<std::int64_t> only_;
  std::vector<std::int64_t> excluded_;
  bool all_ = true;
  bool has_only_ = false;
};

class SampleScorer {
 public:
  SampleScorer(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const SampleOptions& details,
               Output& output, Reporter& reporter)
      : checkpoint_(checkpoint),
        options_(options),
        reporter_(reporter),
        filter_(details),
        head_(sample_head(checkpoint)),
        elements_(checkpoint.kind().domain().elements),
        explained_(std::min<std::size_t>(static_cast<std::size_t>(details.explain), elements_.size())),
        flagging_(options.flag, checkpoint.calibration(), checkpoint.name(),
                  std::string(checkpoint.kind().domain().samples), output, reporter) {}

  FlagTotals run() {
    recipe::StreamOptions wanted{options_.inputs, explained_ > 0, std::nullopt, options_.threads};
    if (options_.world.size > 1) wanted.share = own_share(wanted);
    stream_ = open_stream(checkpoint_, wanted, reporter_);
    stream_->for_each([&](const recipe::SampleBlock& block) { score_block(block); });
    filter_.check(read_);
    if (flagging_.scored() == 0 && options_.world.size == 1)
      throw InputError("no row is left to score; check the files of --rows and --exclude-rows");
    return flagging_.finish();
  }

 private:
  // How many samples there are is known only when all were counted. The header is that of a single process.
  recipe::StreamOptions::Share own_share(const recipe::StreamOptions& wanted) {
    stream_ = open_stream(checkpoint_, wanted, reporter_);
    recipe::StreamOptions::Share share;
    share.sizes = stream_->count([&] {
      if (!begun_) begin();
    });
    read_ = std::accumulate(share.sizes.begin(), share.sizes.end(), std::int64_t{0});
    std::tie(share.first, share.end) = options_.world.share_of(read_);
    return share;
  }

  void begin() {
    std::string columns;
    for (std::size_t k = 1; k <= explained_; ++k) {
      const std::string top = ",top" + std::to_string(k);
      for (const auto* what : {"_column", "_share", "_observed", "_expected"}) columns.append(top).append(what);
    }
    flagging_.begin(stream_->has_labels(), columns);
    begun_ = true;
  }

  void score_block(const recipe::SampleBlock& block) {
    if (!begun_) begin();
    const std::int64_t samples = block.batch.samples();
    if (options_.world.size == 1) read_ += samples;
    const auto scored = score::score(checkpoint_.autoencoder(), head_, block.batch);
    const auto seen = block.batch.observed.flatten(1).amax(1).contiguous();  // 0: nothing of the sample is observed
    std::string number, explanation;
    for (std::int64_t i = 0; i < samples; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (!filter_.keeps(block.numbers[at])) continue;
      const double score = scored.scores[at];
      number = std::to_string(block.numbers[at]);
      if (!std::isfinite(score)) {
        throw RunError("row " + number + ": the score is " + number_text(score) +
                       "; the model is not usable for such values");
      }
      explanation.clear();
      if (explained_ > 0) explain(explanation, block, scored, i);
      flagging_.add({block.ids.empty() ? number : block.ids[at], score,
                     block.labels.empty() ? std::string_view() : block.labels[at], explanation,
                     seen.data_ptr<float>()[i] > 0});
    }
    flagging_.flush();  // a block ends where the input makes us wait: answer what is there
  }

  // The elements with the largest shares, largest first; equal shares in their order.
  void explain(std::string& text, const recipe::SampleBlock& block, const score::Scored& scored, std::int64_t sample) {
    const auto elements = static_cast<std::int64_t>(elements_.size());
    const double* shares = scored.shares.data_ptr<double>() + sample * elements;
    const double* expected = scored.expected.data_ptr<double>() + sample * elements;
    const float* observed = block.batch.observed.data_ptr<float>() + sample * elements;
    order_.resize(elements_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::partial_sort(
        order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(explained_), order_.end(),
        [&](std::int64_t a, std::int64_t b) { return shares[a] != shares[b] ? shares[a] > shares[b] : a < b; });
    for (std::size_t k = 0; k < explained_; ++k) {
      const auto e = order_[k];
      const auto element = static_cast<std::size_t>(e);
      text += ',';
      append_csv_field(text, elements_[element].name);
      text += ',';
      append_number(text, shares[e]);
      text += ',';
      if (observed[e] != 0) append_csv_field(text, stream_->observed_text(sample, element));
      text += ',';
      append_csv_field(text, stream_->value_text(element, expected[e]));
    }
  }

  const recipe::Checkpoint& checkpoint_;
  const ScoreOptions& options_;
  Reporter& reporter_;
  RowFilter filter_;
  const score::SampleHead& head_;
  const std::vector<model::Element>& elements_;
  std::size_t explained_;
  Flagging flagging_;
  std::unique_ptr<recipe::SampleStream> stream_;
  std::vector<std::int64_t> order_;
  std::int64_t read_ = 0;
  bool begun_ = false;
};

}  // namespace

FlagTotals score_samples(const recipe::Checkpoint& checkpoint, const ScoreOptions& options,
                         const SampleOptions& details, Output& output, Reporter& reporter) {
  return SampleScorer(checkpoint, options, details, output, reporter).run();
}

}  // namespace ae::apply
