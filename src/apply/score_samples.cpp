#include "apply/score_samples.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "apply/column_drift.hpp"
#include "apply/passing.hpp"
#include "apply/reasons.hpp"
#include "apply/sample_page.hpp"
#include "apply/streams.hpp"
#include "base/error.hpp"
#include "base/forwarding_reporter.hpp"
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

// Hands everything on, and remembers the first warnings for a page.
class RememberingReporter final : public ForwardingReporter {
 public:
  using ForwardingReporter::ForwardingReporter;
  void warning(std::string_view line) override {
    constexpr std::size_t kMost = 50;
    if (warnings_.size() < kMost) warnings_.emplace_back(line);
    ForwardingReporter::warning(line);
  }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<std::string> warnings_;
};

class SampleScorer {
 public:
  SampleScorer(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const SampleOptions& details,
               Output& output, Reporter& reporter)
      : checkpoint_(checkpoint),
        options_(options),
        details_(details),
        reporter_(reporter),
        filter_(details),
        head_(sample_head(checkpoint)),
        elements_(checkpoint.kind().domain().elements),
        explained_(std::min<std::size_t>(static_cast<std::size_t>(details.explain), elements_.size())),
        kept_(kept_columns()),
        own_columns_(own_columns()),
        own_(options.flag.format, own_columns_),
        flagging_(options.flag, checkpoint.calibration(), checkpoint.name(), checkpoint.digest(),
                  std::string(checkpoint.kind().domain().samples), output, reporter_) {
    check_names();
    if (!options.page.empty()) page_.emplace(checkpoint, options, kept_);
    if (page_ || options.summarised || options.flag.watch_drift) watch_.emplace(checkpoint);
    if (details.reasons) checkpoint.profile();  // a file that is damaged there is told of before any answer
  }

  FlagTotals run() {
    recipe::StreamOptions wanted;
    wanted.inputs = options_.inputs;
    wanted.keep_texts = explained_ > 0 || page_.has_value();
    wanted.reading = details_.reading;
    wanted.allow_empty = details_.allow_empty;
    wanted.threads = options_.threads;
    if (options_.world.size > 1) wanted.share = own_share(wanted);
    stream_ = open_stream(checkpoint_, wanted, reporter_);
    reasons_.emplace(checkpoint_, *stream_);
    stream_->for_each([&](const recipe::SampleBlock& block) { score_block(block); });
    if (!begun_) begin();
    const auto bad = stream_->bad();
    if (options_.world.size == 1 && details_.reading.bad_rows == data::BadRows::skip) read_ += bad.count;
    filter_.check(read_);
    check_any(bad);
    FlagTotals totals = flagging_.finish();
    totals.bad = bad.count;
    totals.first_bad = bad.first;
    if (watch_) tell_columns(totals);
    if (page_) page_->finish(totals, flagging_, reporter_.warnings());
    return totals;
  }

 private:
  // What of the columns to keep is not the id or the label of the scores.
  std::vector<std::string> kept_columns() const {
    std::vector<std::string> names;
    for (const auto& name : details_.reading.keep)
      if (name != "id" && name != "label") names.push_back(name);
    return names;
  }

  std::vector<std::string> own_columns() const {
    auto columns = kept_;
    for (std::size_t k = 1; k <= explained_; ++k) {
      for (const auto* what : {"_column", "_share", "_observed", "_expected"})
        columns.push_back("top" + std::to_string(k) + what);
    }
    if (details_.reasons) columns.emplace_back("reasons");
    return columns;
  }

  void check_names() const {
    std::set<std::string> taken = {"id", "score", "p_value", "tail_p_value", "flag", "label", "model"};
    for (std::size_t i = kept_.size(); i < own_columns_.size(); ++i) taken.insert(own_columns_[i]);
    for (const auto& name : kept_) {
      if (taken.insert(name).second) continue;
      const bool twice = std::ranges::count(kept_, name) > 1;
      throw UsageError(
          "--keep " + ae::quoted(name) +
          (twice ? ": is given twice" : ": the scores have a column of that name; rename it in the input"));
    }
  }

  void check_any(const recipe::BadSamples& bad) const {
    if (flagging_.scored() > 0 || options_.world.size > 1) return;
    if (bad.count > 0) {
      throw InputError("none of the " + std::to_string(bad.count) + " rows could be read (the first: " + bad.first +
                       ")");
    }
    if (!details_.allow_empty)
      throw InputError("no row is left to score; check the files of --rows and --exclude-rows");
  }

  void tell_columns(FlagTotals& totals) {
    totals.columns = watch_->finish();
    const auto changed = drifted_columns_text(totals.columns);
    if (changed.empty()) return;
    const std::string line = "columns whose values are not those of training: " + changed;
    if (totals.drifted) {
      reporter_.warning(line);
    } else {
      reporter_.info(line);
    }
  }

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
    flagging_.begin(stream_->has_labels(), own_columns_);
    begun_ = true;
  }

  void score_block(const recipe::SampleBlock& block) {
    if (!begun_) begin();
    const std::int64_t samples = block.batch.samples();
    if (options_.world.size == 1) read_ += samples;
    const auto scored = score::score(checkpoint_.autoencoder(), head_, block.batch);
    const Answered answered{block, scored};
    const auto seen = block.batch.observed.flatten(1).amax(1).contiguous();  // 0: nothing of the sample is observed
    std::string number;
    for (std::int64_t i = 0; i < samples; ++i) {
      const auto at = static_cast<std::size_t>(i);
      if (!filter_.keeps(block.numbers[at])) continue;
      number = std::to_string(block.numbers[at]);
      const std::string& id = block.ids.empty() ? number : block.ids[at];
      ScoredSample sample{id, scored.scores[at], {}, {}, seen.data_ptr<float>()[i] > 0};
      if (!block.labels.empty()) sample.label = block.labels[at];
      own_.clear();
      for (std::size_t k = 0; k < kept_.size(); ++k) own_.text(block.kept_text(i, k));
      if (Passing::unread(block, i)) {
        own_.nothing_left();
        sample.rest = own_.written();
        unread_.tell(block.problems[at]);
        flagging_.add_bad(sample);
        continue;
      }
      if (!std::isfinite(sample.score)) {
        throw RunError("row " + number + ": the score is " + number_text(sample.score) +
                       "; the model is not usable for such values");
      }
      if (explained_ > 0) explain(answered, i);
      sample.rest = own_.written();
      const double p_value = flagging_.add(sample);
      if (watch_) watch_->add(block.batch, i);
      if (page_) page_->add(*reasons_, answered, i, id, p_value);
    }
    flagging_.flush();  // a block ends where the input makes us wait: answer what is there
  }

  void explain(const Answered& answered, std::int64_t sample) {
    const double* shares = answered.scored.shares.data_ptr<double>();
    const double* expected = answered.scored.expected.data_ptr<double>();
    const float* observed = answered.block.batch.observed.data_ptr<float>();
    const auto& largest = reasons_->largest(answered, sample, explained_);
    for (const auto e : largest) {
      const auto element = static_cast<std::size_t>(e);
      const auto cell = sample * std::ssize(elements_) + e;
      own_.text(elements_[element].name);
      own_.number(shares[cell]);
      if (observed[cell] != 0) {
        own_.text(stream_->observed_text(sample, element));
      } else {
        own_.nothing();
      }
      own_.text(stream_->value_text(element, expected[cell]));
    }
    if (details_.reasons) own_.text(reasons_->in_words(answered, sample, largest));
  }

  const recipe::Checkpoint& checkpoint_;
  const ScoreOptions& options_;
  const SampleOptions& details_;
  RememberingReporter reporter_;
  UnreadSamples unread_{reporter_};
  RowFilter filter_;
  const score::SampleHead& head_;
  const std::vector<model::Element>& elements_;
  std::size_t explained_;
  std::vector<std::string> kept_;         // columns that are passed through
  std::vector<std::string> own_columns_;  // these and the explanation's
  Cells own_;
  Flagging flagging_;
  std::optional<SamplePage> page_;
  std::optional<ColumnWatch> watch_;
  std::unique_ptr<recipe::SampleStream> stream_;
  std::optional<Reasons> reasons_;
  std::int64_t read_ = 0;
  bool begun_ = false;
};

}  // namespace

FlagTotals score_samples(const recipe::Checkpoint& checkpoint, const ScoreOptions& options,
                         const SampleOptions& details, Output& output, Reporter& reporter) {
  return SampleScorer(checkpoint, options, details, output, reporter).run();
}

}  // namespace ae::apply
