#include "apply/impute.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <utility>

#include "apply/passing.hpp"
#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "score/head.hpp"

namespace ae::apply {
namespace {

// The mask corruption the model was trained with, as the probability to hide a cell.
double training_mask_rate(const recipe::Config& config) {
  for (const auto& corruption : config.training.corruption) {
    const double rate = corruption->mask_rate();
    if (rate > 0) return rate;
  }
  return 0;
}

// What should stand in the cells, both [rows, elements] float64.
struct Guesses {
  at::Tensor values;       // in network units; of categories the most probable level
  at::Tensor probability;  // of that level; NaN for numbers
};

// Reconstructions as imputation needs them: one, or the mean over several with other random masks, of categories that
// of the levels' probabilities.
class Imputer {
 public:
  Imputer(const recipe::Checkpoint& checkpoint, std::int64_t samples)
      : autoencoder_(checkpoint.autoencoder()),
        elements_(checkpoint.kind().domain().elements),
        samples_(samples),
        mask_rate_(training_mask_rate(checkpoint.config())),
        seed_(static_cast<std::uint64_t>(checkpoint.config().training.seed)) {
    if (samples > 1 && mask_rate_ == 0) {
      throw UsageError(
          "--samples " + std::to_string(samples) + ": " + checkpoint.name() +
          " was trained without mask corruption, so every reconstruction would be the same; leave --samples out");
    }
  }

  Guesses guess(const model::Batch& batch, const std::vector<std::int64_t>& row_numbers) const {
    const auto& loss = autoencoder_.loss();
    Guesses sum;
    std::vector<at::Tensor> levels;
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      throw_if_stopped("imputing");
      const auto prediction = autoencoder_.prediction(
          samples_ == 1 ? batch : model::Batch{batch.values, batch.observed * kept(batch, row_numbers, sample)});
      const auto values = loss.expected(prediction).to(torch::kFloat64);
      const auto shares = loss.probabilities(prediction.to(torch::kFloat64));
      if (sample == 0) {
        sum.values = values.contiguous();
        levels = shares;
        continue;
      }
      sum.values += values;
      for (std::size_t e = 0; e < levels.size(); ++e) {
        if (levels[e].defined()) levels[e] = levels[e] + shares[e];
      }
    }
    sum.values /= static_cast<double>(samples_);
    sum.probability = torch::full_like(sum.values, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t e = 0; e < levels.size(); ++e) {
      if (!levels[e].defined()) continue;
      const auto column = static_cast<std::int64_t>(e);
      const auto [share, level] = (levels[e] / static_cast<double>(samples_)).max(1);  // codes have no mean
      sum.values.select(1, column).copy_(level);
      sum.probability.select(1, column).copy_(share);
    }
    return sum;
  }

 private:
  // 1 where a cell stays visible. A function of row number and sample only, so that blocks can be cut anywhere.
  at::Tensor kept(const model::Batch& batch, const std::vector<std::int64_t>& row_numbers, std::int64_t sample) const {
    auto mask = torch::ones_like(batch.observed).contiguous();
    float* data = mask.data_ptr<float>();
    for (std::size_t row = 0; row < row_numbers.size(); ++row) {
      Random random(stream_key(seed_, "impute samples", static_cast<std::uint64_t>(row_numbers[row]),
                               static_cast<std::uint64_t>(sample)));
      for (std::size_t e = 0; e < elements_.size(); ++e) {
        if (random.uniform() < mask_rate_) data[row * elements_.size() + e] = 0;
      }
    }
    return mask;
  }

  const loss::Autoencoder& autoencoder_;
  const std::vector<model::Element>& elements_;
  std::int64_t samples_;
  double mask_rate_;
  std::uint64_t seed_;
};

// What one column's hidden cells were and were taken for, in network units.
struct ColumnTally {
  // kept cells
  double kept = 0, sum = 0, squares = 0;
  std::map<std::int64_t, std::int64_t> kept_levels;
  // hidden cells
  double hidden = 0, hidden_sum = 0, hidden_squares = 0, error_squares = 0;
  std::map<std::int64_t, std::int64_t> hidden_levels;
  std::int64_t wrong = 0;

  void keep(double value, bool categorical) {
    ++kept;
    sum += value;
    squares += value * value;
    if (categorical) ++kept_levels[std::llround(value)];
  }
  void hide(double value, double guess, bool categorical) {
    ++hidden;
    hidden_sum += value;
    hidden_squares += value * value;
    error_squares += (guess - value) * (guess - value);
    if (!categorical) return;
    ++hidden_levels[std::llround(value)];
    wrong += std::llround(value) != std::llround(guess);
  }
  double mean() const { return sum / kept; }
  double variance() const { return std::max(0.0, squares / kept - mean() * mean()); }
  // Sum over hidden cells of (value - mean of the kept cells)^2.
  double baseline_squares() const { return hidden_squares - 2 * mean() * hidden_sum + hidden * mean() * mean(); }
  std::int64_t baseline_wrong() const {
    if (kept_levels.empty()) return static_cast<std::int64_t>(hidden);
    const auto most = std::max_element(kept_levels.begin(), kept_levels.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    const auto right = hidden_levels.find(most->first);
    return static_cast<std::int64_t>(hidden) - (right == hidden_levels.end() ? 0 : right->second);
  }
};

// A stream whose samples are written back.
class Rewriting {
 public:
  Rewriting(const recipe::Checkpoint& checkpoint, recipe::StreamOptions options, Output& output,
            std::vector<std::string> extra_columns, recipe::Digits digits, const std::string& program,
            const std::string& deed, Reporter& reporter) {
    check_network(checkpoint, program, deed);
    options.keep_texts = true;
    stream_ = open_stream(checkpoint, options, reporter);
    copy_ = stream_->copy(output, std::move(extra_columns), digits);
    if (copy_ == nullptr) {
      throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                       ", which " + program + " cannot write");
    }
  }
  recipe::SampleStream& stream() const { return *stream_; }
  recipe::SampleCopy& copy() const { return *copy_; }

  // Calls visit(block, sample) for every sample that could be read; the others are named, the first ones, and copied.
  template <typename Visit>
  static void for_each_read(const recipe::SampleBlock& block, recipe::SampleCopy& copy, UnreadSamples& unread,
                            Visit&& visit) {
    for (std::int64_t i = 0; i < block.batch.samples(); ++i) {
      if (!Passing::unread(block, i)) {
        visit(i);
        continue;
      }
      unread.tell(block.problems[static_cast<std::size_t>(i)]);
      copy.add_unread(i);
    }
  }

 private:
  std::unique_ptr<recipe::SampleStream> stream_;
  std::unique_ptr<recipe::SampleCopy> copy_;
};

// Columns of which training saw no value: whatever the network says of them is made up.
class Unfillable {
 public:
  explicit Unfillable(const std::vector<model::Element>& elements) : elements_(elements), left_(elements.size(), 0) {}
  bool leaves(std::size_t element, bool observed) {
    if (elements_[element].observed) return false;
    left_[element] += observed ? 0 : 1;
    return true;
  }
  void tell(Reporter& reporter) const {
    for (std::size_t e = 0; e < elements_.size(); ++e) {
      if (left_[e] == 0) continue;
      reporter.warning("column " + ae::quoted(elements_[e].name) + " had no value in any training row, so its " +
                       counted(left_[e], "missing cell stays", "missing cells stay") + " missing");
    }
  }

 private:
  const std::vector<model::Element>& elements_;
  std::vector<std::int64_t> left_;  // missing cells
};

std::string brief(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

ImputeTotals impute(const recipe::Checkpoint& checkpoint, const ImputeOptions& options, Output& output, Output* marks,
                    Reporter& reporter) {
  const auto digits = options.integers ? recipe::Digits::whole_too : recipe::Digits::of_column;
  const Rewriting rewriting(checkpoint, options.stream, output, {}, digits, "ae-impute", "fill cells", reporter);
  const Imputer imputer(checkpoint, options.samples);
  Unfillable unfillable(checkpoint.kind().domain().elements);
  ImputeTotals totals;
  UnreadSamples unread(reporter);
  std::string marked = "id,column,value,probability\n";
  rewriting.stream().for_each([&](const recipe::SampleBlock& block) {
    const auto guesses = imputer.guess(block.batch, block.numbers);
    const std::int64_t elements = guesses.values.size(1);
    const double* values = guesses.values.data_ptr<double>();
    const double* probabilities = guesses.probability.data_ptr<double>();
    const float* seen = block.batch.observed.data_ptr<float>();
    Rewriting::for_each_read(block, rewriting.copy(), unread, [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      rewriting.copy().add(i, [&](std::size_t e) -> std::optional<double> {
        const auto cell = at * static_cast<std::size_t>(elements) + e;
        const bool observed = seen[cell] != 0;
        if ((observed && !options.all_cells) || unfillable.leaves(e, observed)) return std::nullopt;
        totals.replaced += observed ? 1 : 0;
        if (!observed) {
          ++totals.filled;
          if (marks != nullptr) {
            append_csv_field(marked, Passing::id_of(block, i));
            append_csv_field(marked += ',', checkpoint.kind().domain().elements[e].name);
            append_csv_field(marked += ',', rewriting.stream().value_text(e, values[cell], digits));
            marked += ',';
            if (!std::isnan(probabilities[cell])) marked += brief(probabilities[cell]);
            marked += '\n';
          }
        }
        return values[cell];
      });
      ++totals.rows;
    });
    rewriting.copy().flush();
    if (marks != nullptr) marks->write(std::exchange(marked, {}));
  });
  rewriting.copy().flush();
  if (marks != nullptr) marks->write(marked);
  unfillable.tell(reporter);
  totals.bad = rewriting.stream().bad();
  return totals;
}

ImputeTotals evaluate_masked(const recipe::Checkpoint& checkpoint, const ImputeOptions& options,
                             const MaskedEvaluation& evaluation, Output& output, Reporter& reporter) {
  check_network(checkpoint, "ae-impute", "fill cells");
  const Imputer imputer(checkpoint, options.samples);
  const auto& elements = checkpoint.kind().domain().elements;
  std::vector<ColumnTally> tallies(elements.size());
  ImputeTotals totals;
  const auto stream = open_stream(checkpoint, options.stream, reporter);
  stream->for_each([&](const recipe::SampleBlock& block) {
    const model::Batch masked{block.batch.values.clone(), block.batch.observed.clone()};
    float* left = masked.observed.data_ptr<float>();
    float* shown = masked.values.data_ptr<float>();
    for (std::size_t row = 0; row < block.numbers.size(); ++row) {
      if (!Passing::unread(block, static_cast<std::int64_t>(row))) ++totals.rows;
      Random random(stream_key(evaluation.seed, "hidden cells", static_cast<std::uint64_t>(block.numbers[row])));
      for (std::size_t e = 0; e < elements.size(); ++e) {
        if (random.uniform() >= evaluation.rate) continue;
        left[row * elements.size() + e] = 0;
        shown[row * elements.size() + e] = 0;
      }
    }
    const auto guessed = imputer.guess(masked, block.numbers);
    const double* guesses = guessed.values.data_ptr<double>();
    const float* values = block.batch.values.data_ptr<float>();
    const float* observed = block.batch.observed.data_ptr<float>();
    for (std::size_t cell = 0; cell < block.numbers.size() * elements.size(); ++cell) {
      if (observed[cell] == 0) continue;
      const std::size_t e = cell % elements.size();
      if (left[cell] != 0) {
        tallies[e].keep(values[cell], elements[e].categorical());
      } else {
        tallies[e].hide(values[cell], guesses[cell], elements[e].categorical());
      }
    }
  });

  totals.bad = stream->bad();
  if (totals.bad.count > 0) {
    reporter.warning(counted(totals.bad.count, "rows") + " could not be read (the first: " + totals.bad.first +
                     ") and left out of the evaluation");
  }
  std::string text = "column,kind,cells,error,baseline_error,unit\n";
  double cells = 0, squares = 0, baseline = 0;
  const auto line = [&](std::string_view name, std::string_view kind, double count, double error, double base,
                        std::string_view unit) {
    append_csv_field(text, name);
    const bool known = count > 0;
    for (const auto& field : {std::string(kind), number_text(count), known ? brief(error) : std::string(),
                              known ? brief(base) : std::string(), std::string(unit)}) {
      text.append(1, ',').append(field);
    }
    text += '\n';
  };
  for (std::size_t e = 0; e < elements.size(); ++e) {
    const ColumnTally& tally = tallies[e];
    if (elements[e].categorical()) {
      line(elements[e].name, "categorical", tally.hidden, static_cast<double>(tally.wrong) / tally.hidden,
           static_cast<double>(tally.baseline_wrong()) / tally.hidden, "wrong_share");
      continue;
    }
    const double variance = tally.kept > 0 ? tally.variance() : 0;
    if (tally.hidden == 0 || variance <= 0) {
      line(elements[e].name, "numeric", 0, 0, 0, "nrmse");
      continue;
    }
    line(elements[e].name, "numeric", tally.hidden, std::sqrt(tally.error_squares / tally.hidden / variance),
         std::sqrt(tally.baseline_squares() / tally.hidden / variance), "nrmse");
    cells += tally.hidden;
    squares += tally.error_squares / variance;
    baseline += tally.baseline_squares() / variance;
  }
  const double pooled = cells > 0 ? std::sqrt(squares / cells) : 0;
  const double pooled_baseline = cells > 0 ? std::sqrt(baseline / cells) : 0;
  line("all", "numeric", cells, pooled, pooled_baseline, "nrmse");
  output.write(text);
  reporter.info("NRMSE " + brief(pooled) + " over " + number_text(cells) + " hidden numeric cells; column mean " +
                brief(pooled_baseline));
  return totals;
}

PurifyTotals purify(const recipe::Checkpoint& checkpoint, const PurifyOptions& options, Output& output,
                    Reporter& reporter) {
  const Rewriting rewriting(checkpoint, options.stream, output, {"loss_before", "loss_after"}, recipe::Digits::all,
                            "ae-purify", "project rows", reporter);
  PurifyTotals totals;
  UnreadSamples unread(reporter);
  const auto& elements = checkpoint.kind().domain().elements;
  const auto& pair = checkpoint.autoencoder();
  const auto& head = sample_head(checkpoint);
  rewriting.stream().for_each([&](const recipe::SampleBlock& block) {
    const model::Batch& batch = block.batch;
    const auto before = score::score(pair, head, batch);
    // What was not observed is filled in by the first projection, but both losses judge the same, observed cells.
    model::Batch projected{before.expected.to(torch::kFloat32), torch::ones_like(batch.observed)};
    for (std::int64_t step = 1; step < options.steps; ++step) projected.values = pair.reconstruct(projected).expected;
    const auto after = score::score(pair, head, {projected.values * batch.observed, batch.observed});
    const auto written = projected.values.to(torch::kFloat64).contiguous();
    const double* values = written.data_ptr<double>();
    Rewriting::for_each_read(block, rewriting.copy(), unread, [&](std::int64_t i) {
      const auto row = static_cast<std::size_t>(i);
      const auto projection = [&](std::size_t e) {
        return elements[e].observed ? std::optional(values[row * elements.size() + e]) : std::nullopt;
      };
      rewriting.copy().add(i, projection, {before.scores[row], after.scores[row]});
      ++totals.rows;
    });
    rewriting.copy().flush();
  });
  rewriting.copy().flush();
  totals.bad = rewriting.stream().bad();
  return totals;
}

}  // namespace ae::apply
