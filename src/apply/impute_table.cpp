#include "apply/impute_table.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <map>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "score/head.hpp"

namespace ae::apply {
namespace {

// The table's text around and between the cells, copied from the input.
class TableCopy {
 public:
  TableCopy(Output& output, std::vector<std::string> extra_columns)
      : output_(output), extra_columns_(std::move(extra_columns)) {}

  // Writes the header (once) and remembers the layout.
  void begin(const data::TableReader& reader) {
    const auto& layout = reader.source().layout();
    delimiter_ = layout.delimiter;
    line_end_ = layout.line_end;
    columns_ = reader.source().columns().size();
    if (begun_) return;
    begun_ = true;
    if (!layout.header) return;
    text_ += header_line(layout, reader.source().columns());
    for (const auto& name : extra_columns_) text_ += delimiter_ + name;
    text_ += line_end_;
  }

  // One row of the block. `replaced(element, bytes)` appends the bytes of a feature cell and returns true, or returns
  // false for the cell's own; other cells keep theirs. `extra` holds one number for each extra column.
  template <typename Replaced>
  void row(const data::TableReader& reader, const data::Block& block, std::int64_t row_in_block, Replaced&& replaced,
           std::initializer_list<double> extra = {}) {
    for (std::size_t column = 0; column < columns_; ++column) {
      if (column > 0) text_ += delimiter_;
      const auto element = reader.element_of(column);
      if (element < 0 || !replaced(static_cast<std::size_t>(element), text_)) text_ += block.raw(row_in_block, column);
    }
    for (const double number : extra) {
      text_ += delimiter_;
      append_number(text_, number);
    }
    text_ += line_end_;
  }

  void flush() {
    output_.write(text_);
    output_.flush();
    text_.clear();
  }
  char delimiter() const { return delimiter_; }

 private:
  Output& output_;
  std::vector<std::string> extra_columns_;
  std::string text_;
  char delimiter_ = ',';
  std::string line_end_ = "\n";
  std::size_t columns_ = 0;
  bool begun_ = false;
};

// The mask corruption the model was trained with, as the probability to hide a cell.
double training_mask_rate(const recipe::Config& config) {
  for (const auto& corruption : config.training.corruption) {
    const double rate = corruption->mask_rate();
    if (rate > 0) return rate;
  }
  return 0;
}

// Reconstructions as imputation needs them: one, or the mean over several with other random masks.
class Imputer {
 public:
  Imputer(const recipe::Checkpoint& checkpoint, std::int64_t samples)
      : autoencoder_(checkpoint.autoencoder()),
        columns_(element_columns(checkpoint.schema())),
        samples_(samples),
        mask_rate_(training_mask_rate(checkpoint.config())),
        seed_(static_cast<std::uint64_t>(checkpoint.config().training.seed)) {
    if (samples > 1 && mask_rate_ == 0) {
      throw UsageError(
          "--samples " + std::to_string(samples) + ": " + checkpoint.name() +
          " was trained without mask corruption, so every reconstruction would be the same; leave --samples out");
    }
  }

  // [rows, elements] float64 in network units
  at::Tensor expected(const model::Batch& batch, const std::vector<std::int64_t>& row_numbers) const {
    if (samples_ == 1) return autoencoder_.reconstruct(batch).expected.to(torch::kFloat64).contiguous();
    std::vector<at::Tensor> draws;
    for (std::int64_t sample = 0; sample < samples_; ++sample) {
      const model::Batch masked{batch.values, batch.observed * kept(batch, row_numbers, sample)};
      draws.push_back(autoencoder_.reconstruct(masked).expected.to(torch::kFloat64));
    }
    const auto stacked = torch::stack(draws);
    auto result = stacked.mean(0);
    for (std::size_t e = 0; e < columns_.size(); ++e) {
      if (columns_[e]->role != data::Role::categorical) continue;
      const auto column = static_cast<std::int64_t>(e);
      result.select(1, column).copy_(std::get<0>(stacked.select(2, column).mode(0)));  // codes have no mean
    }
    return result.contiguous();
  }

 private:
  // 1 where a cell stays visible. A function of row number and sample only, so that blocks can be cut anywhere.
  at::Tensor kept(const model::Batch& batch, const std::vector<std::int64_t>& row_numbers, std::int64_t sample) const {
    auto mask = torch::ones_like(batch.observed).contiguous();
    float* data = mask.data_ptr<float>();
    for (std::size_t row = 0; row < row_numbers.size(); ++row) {
      Random random(stream_key(seed_, "impute samples", static_cast<std::uint64_t>(row_numbers[row]),
                               static_cast<std::uint64_t>(sample)));
      for (std::size_t e = 0; e < columns_.size(); ++e) {
        if (random.uniform() < mask_rate_) data[row * columns_.size() + e] = 0;
      }
    }
    return mask;
  }

  const loss::Autoencoder& autoencoder_;
  std::vector<const data::Column*> columns_;
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

std::string brief(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

}  // namespace

ImputeTotals impute_table(const recipe::Checkpoint& checkpoint, const ImputeOptions& options, Output& output,
                          Reporter& reporter) {
  const Imputer imputer(checkpoint, options.samples);
  const auto columns = element_columns(checkpoint.schema());
  StreamOptions stream = options.stream;
  stream.keep_raw = true;
  TableCopy copy(output, {});
  ImputeTotals totals;
  TableStream(checkpoint, stream, reporter).for_each([&](data::TableReader& reader, const data::Block& block) {
    copy.begin(reader);
    const auto expected = imputer.expected(model::to_batch(block), block.row_numbers);
    const double* values = expected.data_ptr<double>();
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const auto first = static_cast<std::size_t>(i * block.elements);
      copy.row(reader, block, i, [&](std::size_t e, std::string& text) {
        const bool observed = block.observed[first + e] != 0;
        if (observed && !options.all_cells) return false;
        totals.filled += observed ? 0 : 1;
        append_csv_field(text, value_text(*columns[e], values[first + e]), copy.delimiter());
        return true;
      });
    }
    totals.rows += block.rows;
    copy.flush();
  });
  return totals;
}

double evaluate_masked(const recipe::Checkpoint& checkpoint, const ImputeOptions& options,
                       const MaskedEvaluation& evaluation, Output& output, Reporter& reporter) {
  const Imputer imputer(checkpoint, options.samples);
  const auto columns = element_columns(checkpoint.schema());
  std::vector<ColumnTally> tallies(columns.size());
  TableStream(checkpoint, options.stream, reporter).for_each([&](data::TableReader&, const data::Block& block) {
    data::Block masked = block;
    for (std::size_t row = 0; row < block.row_numbers.size(); ++row) {
      Random random(stream_key(evaluation.seed, "hidden cells", static_cast<std::uint64_t>(block.row_numbers[row])));
      for (std::size_t e = 0; e < columns.size(); ++e) {
        if (random.uniform() >= evaluation.rate) continue;
        masked.observed[row * columns.size() + e] = 0;
        masked.values[row * columns.size() + e] = 0;
      }
    }
    const auto expected = imputer.expected(model::to_batch(masked), block.row_numbers);
    const double* guesses = expected.data_ptr<double>();
    for (std::size_t cell = 0; cell < block.values.size(); ++cell) {
      if (block.observed[cell] == 0) continue;
      const std::size_t e = cell % columns.size();
      const bool categorical = columns[e]->role == data::Role::categorical;
      if (masked.observed[cell] != 0) {
        tallies[e].keep(block.values[cell], categorical);
      } else {
        tallies[e].hide(block.values[cell], guesses[cell], categorical);
      }
    }
  });

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
  for (std::size_t e = 0; e < columns.size(); ++e) {
    const ColumnTally& tally = tallies[e];
    if (columns[e]->role == data::Role::categorical) {
      line(columns[e]->name, "categorical", tally.hidden, static_cast<double>(tally.wrong) / tally.hidden,
           static_cast<double>(tally.baseline_wrong()) / tally.hidden, "wrong_share");
      continue;
    }
    const double variance = tally.kept > 0 ? tally.variance() : 0;
    if (tally.hidden == 0 || variance <= 0) {
      line(columns[e]->name, "numeric", 0, 0, 0, "nrmse");
      continue;
    }
    line(columns[e]->name, "numeric", tally.hidden, std::sqrt(tally.error_squares / tally.hidden / variance),
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
  return pooled;
}

std::int64_t purify_table(const recipe::Checkpoint& checkpoint, const PurifyOptions& options, Output& output,
                          Reporter& reporter) {
  const auto columns = element_columns(checkpoint.schema());
  StreamOptions stream = options.stream;
  stream.keep_raw = true;
  TableCopy copy(output, {"loss_before", "loss_after"});
  std::int64_t rows = 0;
  const auto& pair = checkpoint.autoencoder();
  TableStream(checkpoint, stream, reporter).for_each([&](data::TableReader& reader, const data::Block& block) {
    copy.begin(reader);
    const auto batch = model::to_batch(block);
    const auto before = score::score(pair, checkpoint.head(), batch);
    // What was not observed is filled in by the first projection, but both losses judge the same, observed cells.
    model::Batch projected{before.expected.to(torch::kFloat32), torch::ones_like(batch.observed)};
    for (std::int64_t step = 1; step < options.steps; ++step) projected.values = pair.reconstruct(projected).expected;
    const auto after = score::score(pair, checkpoint.head(), {projected.values * batch.observed, batch.observed});
    const auto written = projected.values.to(torch::kFloat64).contiguous();
    const double* values = written.data_ptr<double>();
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const auto first = static_cast<std::size_t>(i * block.elements);
      const auto row = static_cast<std::size_t>(i);
      copy.row(reader, block, i,
               [&](std::size_t e, std::string& text) {
                 append_csv_field(text, value_text(*columns[e], values[first + e]), copy.delimiter());
                 return true;
               },
               {before.scores[row], after.scores[row]});
    }
    rows += block.rows;
    copy.flush();
  });
  return rows;
}

}  // namespace ae::apply
