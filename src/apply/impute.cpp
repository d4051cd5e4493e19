#include "apply/impute.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "apply/passing.hpp"
#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "fit/completion.hpp"
#include "score/head.hpp"

namespace ae::apply {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// What should stand in the cells, both [rows, elements] float64.
struct Guesses {
  at::Tensor values;       // in network units; of categories the most probable level
  at::Tensor probability;  // of that level; NaN for numbers
  // Of several reconstructions, and of numbers: the standard deviation of what the cell may be, that of the
  // reconstructions and what is usually off where a cell is hidden (NaN where that is not known), in network units.
  at::Tensor deviation;
};

// Reconstructions as imputation needs them: one, or the mean over several with other random masks, of categories that
// of the levels' probabilities.
class Imputer {
 public:
  Imputer(const recipe::Checkpoint& checkpoint, std::int64_t samples)
      : autoencoder_(checkpoint.autoencoder()),
        elements_(checkpoint.kind().domain().elements),
        samples_(samples),
        mask_rate_(checkpoint.config().training.mask_rate()),
        seed_(static_cast<std::uint64_t>(checkpoint.config().training.seed)),
        hidden_error_(hidden_errors(checkpoint, samples)) {
    if (samples > 1 && mask_rate_ == 0) {
      throw UsageError(
          "--samples " + std::to_string(samples) + ": " + checkpoint.name() +
          " was trained without mask corruption, so every reconstruction would be the same; leave --samples out");
    }
  }

  // Of columns of which too few cells were hidden, or in models of older versions.
  void tell_unknown_errors(Reporter& reporter) const {
    if (samples_ == 1) return;
    std::vector<std::string> unknown;
    for (std::size_t e = 0; e < elements_.size(); ++e)
      if (!elements_[e].categorical() && std::isnan(hidden_error_.data_ptr<double>()[e]))
        unknown.push_back(ae::quoted(elements_[e].name));
    if (!unknown.empty())
      reporter.warning("no standard deviation of " + join(unknown) +
                       ": the model does not know its error where these are hidden; train it again, on more rows");
  }

  Guesses guess(const model::Batch& batch, const std::vector<std::int64_t>& row_numbers) const {
    const auto& loss = autoencoder_.loss();
    Guesses sum;
    at::Tensor squares;
    std::vector<at::Tensor> levels;
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      throw_if_stopped("imputing");
      const auto prediction = autoencoder_.prediction(
          samples_ == 1 ? batch : model::Batch{batch.values, batch.observed * kept(batch, row_numbers, sample)});
      const auto values = loss.expected(prediction).to(torch::kFloat64);
      const auto shares = loss.probabilities(prediction.to(torch::kFloat64));
      if (sample == 0) {
        sum.values = values.contiguous();
        squares = values.square();
        levels = shares;
        continue;
      }
      sum.values += values;
      squares += values.square();
      for (std::size_t e = 0; e < levels.size(); ++e) {
        if (levels[e].defined()) levels[e] = levels[e] + shares[e];
      }
    }
    sum.values /= static_cast<double>(samples_);
    if (samples_ > 1) {
      const auto between = (squares / static_cast<double>(samples_) - sum.values.square()).clamp_min(0);
      sum.deviation = (between + hidden_error_.square()).sqrt().contiguous();
    }
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
  // [elements]; undefined where it is not asked for.
  static at::Tensor hidden_errors(const recipe::Checkpoint& checkpoint, std::int64_t samples) {
    if (samples == 1) return {};
    const auto elements = checkpoint.kind().domain().elements.size();
    auto errors =
        torch::full({static_cast<std::int64_t>(elements)}, std::numeric_limits<double>::quiet_NaN(), torch::kFloat64);
    const auto& columns = checkpoint.profile().columns;
    for (std::size_t e = 0; e < columns.size(); ++e)
      if (columns[e].hidden_error) errors.data_ptr<double>()[e] = *columns[e].hidden_error;
    return errors;
  }

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
  at::Tensor hidden_error_;
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
  double known = 0, covered = 0;  // numbers with a standard deviation, and those within the central 90 % of a normal

  void cover(double value, double guess, double deviation) {
    constexpr double kCentral = 1.6448536269514722;
    if (!std::isfinite(deviation)) return;
    ++known;
    covered += std::abs(value - guess) <= kCentral * deviation;
  }
  double coverage() const { return known > 0 ? covered / known : std::numeric_limits<double>::quiet_NaN(); }
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

// What guesses without a network are made from, and judged by: the numbers of all rows, those hidden and those left.
class OtherGuesses {
 public:
  static constexpr std::int64_t kMostCells = 1'000'000;  // nearest rows of more take minutes

  explicit OtherGuesses(const std::vector<model::Element>& elements) : column_of_(elements.size(), -1) {
    for (std::size_t e = 0; e < elements.size(); ++e)
      if (!elements[e].categorical()) column_of_[e] = static_cast<std::int32_t>(seen_.columns++);
  }
  void begin_row() {
    if (row_ >= 0) seen_.begins.push_back(std::ssize(seen_.values));
    ++row_;
  }
  void keep(std::size_t e, float value) {
    if (column_of_[e] < 0 || too_many()) return;
    seen_.places.push_back(column_of_[e]);
    seen_.values.push_back(value);
  }
  void hide(std::size_t e, float value) {
    if (column_of_[e] >= 0 && !too_many()) hidden_.push_back({row_, static_cast<std::int32_t>(e), value});
  }
  bool too_many() const { return std::ssize(seen_.values) + std::ssize(hidden_) >= kMostCells; }

  // The sums of squared errors of each element, 0 of categories; completions() says whose.
  std::vector<double> squared_errors(fit::Completion& completion, std::uint64_t seed, Reporter& reporter) {
    if (std::ssize(seen_.begins) <= row_ + 1) seen_.begins.push_back(std::ssize(seen_.values));
    completion.fit(seen_, seed, reporter);
    std::vector<double> sums(column_of_.size(), 0.0);
    std::vector<float> guess(static_cast<std::size_t>(seen_.columns));
    std::int64_t row = -1;
    for (const auto& cell : hidden_) {
      if (cell.row != row) completion.row(row = cell.row, guess);
      const double error =
          guess[static_cast<std::size_t>(column_of_[static_cast<std::size_t>(cell.element)])] - cell.value;
      sums[static_cast<std::size_t>(cell.element)] += error * error;
    }
    return sums;
  }

 private:
  struct Hidden {
    std::int64_t row;
    std::int32_t element;
    float value;
  };
  std::vector<std::int32_t> column_of_;  // -1 of categories
  fit::PartialMatrix seen_;
  std::vector<Hidden> hidden_;
  std::int64_t row_ = -1;
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
  imputer.tell_unknown_errors(reporter);
  Unfillable unfillable(checkpoint.kind().domain().elements);
  ImputeTotals totals;
  UnreadSamples unread(reporter);
  const bool spread = options.samples > 1;
  std::string marked = spread ? "id,column,value,probability,sd\n" : "id,column,value,probability\n";
  // Scales may be curved: half of the distance between a standard deviation below and above.
  const auto deviation_text = [&](std::size_t e, double value, double deviation) -> std::string {
    const auto at = [&](double x) {
      return parse_number(rewriting.stream().value_text(e, x, recipe::Digits::all)).value_or(kUnknown);
    };
    if (checkpoint.kind().domain().elements[e].categorical() || !std::isfinite(deviation)) return "";
    const double half = (at(value + deviation) - at(value - deviation)) / 2;
    return std::isfinite(half) ? brief(half) : "";
  };
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
            if (spread) marked += ',' + deviation_text(e, values[cell], guesses.deviation.data_ptr<double>()[cell]);
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
  rewriting.copy().finish();
  if (marks != nullptr) marks->write(marked);
  unfillable.tell(reporter);
  totals.bad = rewriting.stream().bad();
  return totals;
}

ImputeTotals evaluate_masked(const recipe::Checkpoint& checkpoint, const ImputeOptions& options,
                             const MaskedEvaluation& evaluation, Output& output, Reporter& reporter) {
  check_network(checkpoint, "ae-impute", "fill cells");
  const Imputer imputer(checkpoint, options.samples);
  imputer.tell_unknown_errors(reporter);
  const auto& elements = checkpoint.kind().domain().elements;
  std::vector<ColumnTally> tallies(elements.size());
  OtherGuesses others(elements);
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
      const std::size_t e = cell % elements.size();
      if (e == 0) others.begin_row();
      if (observed[cell] == 0) continue;
      if (left[cell] != 0) {
        others.keep(e, values[cell]);
        tallies[e].keep(values[cell], elements[e].categorical());
      } else {
        others.hide(e, values[cell]);
        tallies[e].hide(values[cell], guesses[cell], elements[e].categorical());
        if (guessed.deviation.defined() && !elements[e].categorical())
          tallies[e].cover(values[cell], guesses[cell], guessed.deviation.data_ptr<double>()[cell]);
      }
    }
  });

  totals.bad = stream->bad();
  if (totals.bad.count > 0) {
    reporter.warning(counted(totals.bad.count, "rows") + " could not be read (the first: " + totals.bad.first +
                     ") and left out of the evaluation");
  }
  struct Method {
    std::string name;
    std::vector<double> squares;  // of each element
    double pooled = 0;
  };
  std::vector<Method> methods;  // beside the mean of what is kept, which the tallies know
  if (others.too_many()) {
    reporter.info("no comparison with guesses from other rows, which need all cells in memory: there are more than " +
                  std::to_string(OtherGuesses::kMostCells));
  } else {
    for (const auto& entry : fit::completions()) {
      const auto completion = entry.make();
      if (completion->averages()) continue;
      methods.push_back({std::string(entry.name), others.squared_errors(*completion, evaluation.seed, reporter)});
    }
  }

  std::vector<std::string> header{"column", "kind", "cells", "error", "baseline_error", "unit"};
  for (const auto& method : methods) header.push_back(method.name + "_error");
  const bool covers = options.samples > 1;
  if (covers) header.emplace_back("coverage");
  std::string text;
  for (const auto& name : header) text.append(text.empty() ? 0 : 1, ',').append(name);
  text += '\n';
  auto rows = nlohmann::ordered_json::array();
  // `errors`: of the model, of the baseline, and of the methods, or fewer.
  const auto line = [&](const std::string& name, const char* kind, double count, std::vector<double> errors,
                        const char* unit, double coverage = kUnknown) {
    errors.resize(methods.size() + 2, std::numeric_limits<double>::quiet_NaN());
    if (count == 0) std::ranges::fill(errors, std::numeric_limits<double>::quiet_NaN());
    append_csv_field(text, name);
    text.append(1, ',').append(kind).append(1, ',').append(number_text(count));
    nlohmann::ordered_json row{{header[0], name}, {header[1], kind}, {header[2], static_cast<std::int64_t>(count)}};
    for (std::size_t i = 0; i < errors.size(); ++i) {
      if (i == 2) text.append(1, ',').append(unit);
      const bool known = std::isfinite(errors[i]);
      text.append(1, ',').append(known ? brief(errors[i]) : "");
      row[header[i < 2 ? 3 + i : 4 + i]] = known ? nlohmann::ordered_json(errors[i]) : nlohmann::ordered_json(nullptr);
    }
    if (errors.size() == 2) text.append(1, ',').append(unit);
    row[header[5]] = unit;
    if (covers) {
      text.append(1, ',').append(std::isfinite(coverage) ? brief(coverage) : "");
      row["coverage"] = coverage;  // null where it is not known
    }
    rows.push_back(std::move(row));
    text += '\n';
  };
  double cells = 0, squares = 0, baseline = 0;
  ColumnTally of_all;
  for (std::size_t e = 0; e < elements.size(); ++e) {
    const ColumnTally& tally = tallies[e];
    if (elements[e].categorical()) {
      line(
          elements[e].name, "categorical", tally.hidden,
          {static_cast<double>(tally.wrong) / tally.hidden, static_cast<double>(tally.baseline_wrong()) / tally.hidden},
          "wrong_share");
      continue;
    }
    const double variance = tally.kept > 0 ? tally.variance() : 0;
    if (tally.hidden == 0 || variance <= 0) {
      line(elements[e].name, "numeric", 0, {}, "nrmse");
      continue;
    }
    const auto nrmse = [&](double sum) { return std::sqrt(sum / tally.hidden / variance); };
    std::vector<double> errors{nrmse(tally.error_squares), nrmse(tally.baseline_squares())};
    for (auto& method : methods) {
      errors.push_back(nrmse(method.squares[e]));
      method.pooled += method.squares[e] / variance;
    }
    line(elements[e].name, "numeric", tally.hidden, errors, "nrmse", tally.coverage());
    of_all.known += tally.known;
    of_all.covered += tally.covered;
    cells += tally.hidden;
    squares += tally.error_squares / variance;
    baseline += tally.baseline_squares() / variance;
  }
  const auto pooled = [&](double sum) { return cells > 0 ? std::sqrt(sum / cells) : 0; };
  std::vector<double> all{pooled(squares), pooled(baseline)};
  std::string told =
      "NRMSE " + brief(all[0]) + " over " + number_text(cells) + " hidden numeric cells; column mean " + brief(all[1]);
  for (const auto& method : methods) {
    all.push_back(pooled(method.pooled));
    told += ", " + method.name + " " + brief(all.back());
  }
  line("all", "numeric", cells, all, "nrmse", of_all.coverage());
  if (of_all.known > 0) told += "; within the central 90 % of --samples " + brief(100 * of_all.coverage()) + " %";
  output.write(output.path().extension() == ".json" ? rows.dump(2) + "\n" : text);
  reporter.info(told);
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
  rewriting.copy().finish();
  totals.bad = rewriting.stream().bad();
  return totals;
}

}  // namespace ae::apply
