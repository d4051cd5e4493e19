#include "apply/impute_counts.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "data/bytes/text_output.hpp"
#include "data/counts/thinning.hpp"
#include "data/counts/writer.hpp"
#include "data/hdf5/count_files.hpp"
#include "data/hdf5/h5ad.hpp"
#include "fit/completion.hpp"
#include "fit/imputation_figures.hpp"
#include "recipe/counts_kind.hpp"

namespace ae::apply {
namespace {

constexpr std::array kFormats{&data::kCsvMatrix, &data::kTsvMatrix, &data::kMatrixMarket, &data::kNpyMatrix,
                              &data::kH5adMatrix};

const recipe::CountsKind& counts_kind(const recipe::Checkpoint& checkpoint) {
  const auto* kind = checkpoint.kind().as<recipe::CountsKind>();
  if (kind != nullptr) return *kind;
  throw UsageError(checkpoint.name() + ": was trained on " + std::string(checkpoint.kind().domain().noun()) +
                   ", not on counts; --mode, --scale, --denoise and --names are for counts (/data/type \"counts\")");
}

// Of a witness; a text table of it has an id column, and need not hold counts.
constexpr std::array kReaders{&data::kHdf5Counts, &data::kMatrixMarketFolder, &data::kMatrixMarketFile};

bool tells_detections(const loss::Composition& loss) {
  const auto width = loss.outputs() + std::ssize(loss.constants());
  return loss.detection(torch::zeros({1, width}), {}).defined();
}

void check_fill(const recipe::Checkpoint& checkpoint, const recipe::CountsKind& kind, Fill fill) {
  if (!kind.scale().log1p) {
    throw UsageError(checkpoint.name() +
                     ": was trained with /data/log1p false, of which counts are not filled; train with it");
  }
  if (fill == Fill::expected && kind.options().zero_as_missing) {
    throw UsageError(checkpoint.name() +
                     ": was trained with /data/zero_as_missing and knows only what there is where anything is: "
                     "--mode conditional; for expected counts train with a \"hurdle\" or \"nb\" term and without it");
  }
  if (fill == Fill::gated && kind.options().zero_as_missing) {
    throw UsageError(checkpoint.name() +
                     ": was trained with /data/zero_as_missing and cannot tell where there is nothing: --mode "
                     "conditional; for gated counts train with a \"hurdle\" term and without it");
  }
  const bool all = fill == Fill::gated || (fill == Fill::conditional && !kind.options().zero_as_missing);
  if (all && !tells_detections(checkpoint.autoencoder().loss())) {
    throw UsageError(
        checkpoint.name() +
        ": has no loss term that tells zeros from counts: use --mode expected, or train with a \"hurdle\", "
        "\"nb\", \"zinb\" or \"poisson\" term");
  }
}

// `detected`: of draws above 0.
void check_draws(const recipe::Checkpoint& checkpoint, bool detected) {
  const auto& pair = checkpoint.autoencoder();
  const auto width = pair.loss().outputs() + std::ssize(pair.loss().constants());
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(0);
  if (pair.loss().draw(torch::zeros({1, width}), {}, {.detected = detected}, random).defined()) return;
  throw UsageError(checkpoint.name() + ": its loss terms give no distribution " +
                   (detected ? "of what there is where there is anything" : "of counts") +
                   " to draw --samples from: train with a \"hurdle\" term" +
                   (detected ? "" : ", or with \"nb\", \"zinb\" or \"poisson\""));
}

// [draws, elements] float64 counts of one cell: of the block the one at `place`, of the input that of this number.
at::Tensor draws_of(const loss::Autoencoder& pair, const loss::Counts& counts, std::int64_t place, std::int64_t number,
                    const loss::CountDraw& what, const CountImputeOptions& options) {
  at::Generator random = at::make_generator<at::CPUGeneratorImpl>(
      stream_key(options.seed, "draws of counts", static_cast<std::uint64_t>(number)));
  const auto of_cell = [&](const at::Tensor& rows) {
    return rows.defined() ? rows.narrow(0, place, 1).expand({options.samples, -1}) : rows;
  };
  return pair.draw({{}, {}, {}, of_cell(counts.prediction), of_cell(counts.sizes)}, what, random);
}

struct Moments {
  at::Tensor mean, spread;  // [elements] float32; the spread has draws - 1 degrees of freedom
};

Moments moments(const at::Tensor& draws, double size, CountUnit unit) {
  const auto norm = unit == CountUnit::counts ? draws : draws / size;
  const auto values = unit == CountUnit::log1p ? torch::log1p(norm) : norm;
  return {values.mean(0).to(torch::kFloat32).contiguous(), values.std(0).to(torch::kFloat32).contiguous()};
}

// [cells, elements] float32 in network units.
at::Tensor filling(const loss::Counts& counts, Fill fill, bool zero_as_missing) {
  at::Tensor values;
  switch (fill) {
    case Fill::expected:
      values = counts.expected;
      break;
    case Fill::conditional:
      // What has learned from counts above 0 alone expects these.
      values = zero_as_missing ? counts.expected : counts.conditional;
      break;
    case Fill::gated:
      values = torch::where(counts.detection > 0.5, counts.conditional, torch::zeros_like(counts.conditional));
      break;
  }
  return values.clamp_min(0).to(torch::kFloat32).contiguous();
}

bool is_json(const Output& output) { return output.path().extension() == ".json"; }

// Where the answers go, cell by cell.
class CellOutput {
 public:
  virtual ~CellOutput() = default;
  // `values` of all genes in the file's order; `filled`: which of them are not what was read; their `spread`, if draws
  // were asked for.
  virtual void add(std::int64_t cell, std::span<const float> values, const std::vector<bool>& filled,
                   std::span<const float> spread) = 0;
  virtual void finish() = 0;
};

class Matrix final : public CellOutput {
 public:
  // `spread` may be null.
  Matrix(std::unique_ptr<data::MatrixWriter> writer, std::unique_ptr<data::MatrixWriter> spread)
      : writer_(std::move(writer)), spread_(std::move(spread)) {}
  void add(std::int64_t, std::span<const float> values, const std::vector<bool>&,
           std::span<const float> spread) override {
    writer_->add(values);
    if (spread_ != nullptr) spread_->add(spread);
  }
  void finish() override {
    writer_->finish();
    if (spread_ != nullptr) spread_->finish();
  }

 private:
  std::unique_ptr<data::MatrixWriter> writer_, spread_;
};

class Triplets final : public CellOutput {
 public:
  Triplets(Output& output, const data::CountSource& source, const CountImputeOptions& options) : output_(output) {
    if (options.names) {
      genes_ = source.genes();
      cells_ = source.cell_names();
    }
    text_ = options.samples > 1 ? "row,column,value,sd\n" : "row,column,value\n";
  }
  void add(std::int64_t cell, std::span<const float> values, const std::vector<bool>& filled,
           std::span<const float> spread) override {
    std::string row;
    append_csv_field(row, cells_.empty() ? std::to_string(cell) : cells_[static_cast<std::size_t>(cell)]);
    for (std::size_t gene = 0; gene < values.size(); ++gene) {
      if (!filled[gene]) continue;
      if (!std::isfinite(values[gene]))
        throw RunError("cell " + std::to_string(cell) + ", gene " + std::to_string(gene) + " would get " +
                       number_text(static_cast<double>(values[gene])) + "; the model is not usable for such counts");
      append_csv_field(text_ += row + ',', genes_.empty() ? std::to_string(gene) : genes_[gene]);
      data::append_float(text_ += ',', values[gene]);
      if (!spread.empty()) data::append_float(text_ += ',', spread[gene]);
      text_ += '\n';
    }
    if (text_.size() > (1u << 16)) output_.write(std::exchange(text_, {}));
  }
  void finish() override { output_.write(std::exchange(text_, {})); }

 private:
  Output& output_;
  std::vector<std::string> genes_, cells_;
  std::string text_;
};

}  // namespace

bool reads_counts(const recipe::Checkpoint& checkpoint) {
  return checkpoint.kind().as<recipe::CountsKind>() != nullptr;
}

ImputeTotals impute_counts(const recipe::Checkpoint& checkpoint, const CountImputeOptions& options, Output& output,
                           Reporter& reporter) {
  const auto& kind = counts_kind(checkpoint);
  check_network(checkpoint, "ae-impute", "fill counts");
  check_fill(checkpoint, kind, options.fill);
  if (options.stream.inputs.size() != 1) throw UsageError("ae-impute writes one matrix of counts at a time");
  // Before anything is read.
  if (options.samples > 1) check_draws(checkpoint, options.fill != Fill::expected);
  if (!options.only_missing) data::matrix_format(output.path(), kFormats);
  if (options.spread != nullptr) data::matrix_format(options.spread->path(), kFormats);
  const auto& scale = kind.scale();
  const auto stream = kind.open_cells(options.stream, reporter);
  ImputeTotals totals;
  std::unique_ptr<CellOutput> to;
  std::vector<float> row;
  std::vector<float> before;
  std::vector<float> spread;  // empty without draws
  std::vector<bool> filled;
  std::optional<fit::Witness> witness;
  const bool all_genes = options.all_genes || options.denoise || options.fill != Fill::expected;
  const auto filled_genes = all_genes ? std::vector<bool>(kind.domain().elements.size(), true) : kind.supported();
  std::int64_t empty = 0;
  const auto begin = [&] {
    auto& source = stream->source();
    const auto& elements = stream->elements_of_genes();
    const auto unread = std::ranges::count(elements, -1);
    if (unread > 0) {
      reporter.warning(source.name() + ": " + std::to_string(unread) + " of " + std::to_string(elements.size()) +
                       " genes are none that the network reads, and stay as they are; /data/genes 0 reads all");
    }
    const auto kept = std::ranges::count_if(
        elements, [&](auto element) { return element >= 0 && !filled_genes[static_cast<std::size_t>(element)]; });
    if (kept > 0) {
      reporter.info(source.name() + ": zeros of " + std::to_string(kept) + " of " +
                    std::to_string(std::ssize(elements) - unread) +
                    " genes stay: a cell's own counts tell more of these than cells alike do (--all-genes fills them)");
    }
    if (options.only_missing) {
      to = std::make_unique<Triplets>(output, source, options);
    } else {
      data::MatrixAbout about{source, options.stream.inputs.front(), kind.options().format.layer};
      about.sparse = options.fill == Fill::gated;
      auto writer = data::make_matrix_writer(output, about, kFormats);
      std::unique_ptr<data::MatrixWriter> spreads;
      if (options.spread != nullptr) {
        about.layer = "imputed_sd";
        spreads = data::make_matrix_writer(*options.spread, about, kFormats);
      }
      to = std::make_unique<Matrix>(std::move(writer), std::move(spreads));
    }
    if (options.witness) witness.emplace(*options.witness, source.genes(), kReaders, reporter);
    row.resize(elements.size());
    filled.resize(elements.size());
    if (options.samples > 1) spread.resize(elements.size());
  };
  stream->for_each([&](const recipe::SampleBlock& block) {
    if (to == nullptr) begin();
    const auto& elements = stream->elements_of_genes();
    const auto told = checkpoint.autoencoder().counts(block.batch);
    const auto values = filling(told, options.fill, kind.options().zero_as_missing);
    const float* sizes = block.batch.sizes.data_ptr<float>();
    for (std::int64_t cell = 0; cell < values.size(0); ++cell) {
      const double size = static_cast<double>(sizes[cell]);
      const auto in_unit = [&](double norm) {
        const double value = options.unit == CountUnit::counts ? norm * size
                             : options.unit == CountUnit::norm ? norm
                                                               : std::log1p(norm);
        return static_cast<float>(value);
      };
      std::ranges::fill(row, 0.0f);
      const auto genes = stream->counts().genes_of(cell);
      const auto counts = stream->counts().counts_of(cell);
      for (std::size_t i = 0; i < genes.size(); ++i) {
        const auto gene = static_cast<std::size_t>(genes[i]);
        row[gene] = options.unit == CountUnit::counts ? counts[i] : in_unit(static_cast<double>(counts[i]) / size);
      }
      if (witness) before = row;
      const bool has_counts = !counts.empty();
      empty += has_counts ? 0 : 1;
      Moments drawn;
      if (options.samples > 1 && has_counts) {
        const loss::CountDraw what{options.fill != Fill::expected, 1, stream->counts().whole(cell)};
        drawn = moments(draws_of(checkpoint.autoencoder(), told, cell, block.numbers[static_cast<std::size_t>(cell)],
                                 what, options),
                        size, options.unit);
      }
      const float* answers = values.data_ptr<float>() + cell * values.size(1);
      std::ranges::fill(spread, 0.0f);
      for (std::size_t gene = 0; gene < row.size(); ++gene) {
        const bool there = row[gene] != 0;
        filled[gene] = has_counts && elements[gene] >= 0 && (options.denoise || !there) &&
                       filled_genes[static_cast<std::size_t>(elements[gene])];
        if (!filled[gene]) continue;
        const auto element = elements[gene];
        if (options.fill == Fill::gated && answers[element] == 0) {  // more likely nothing
          row[gene] = 0;
          filled[gene] = there;
        } else if (drawn.mean.defined()) {
          row[gene] = drawn.mean.data_ptr<float>()[element];
          spread[gene] = drawn.spread.data_ptr<float>()[element];
        } else {
          row[gene] = in_unit(scale.norm(static_cast<double>(answers[element])));
        }
        if (filled[gene]) ++(there ? totals.replaced : totals.filled);
      }
      const auto at = static_cast<std::size_t>(cell);
      if (witness) witness->add(block.ids.empty() ? std::to_string(block.numbers[at]) : block.ids[at], before, row);
      to->add(block.numbers[at], row, filled, spread);
      ++totals.rows;
    }
  });
  if (to == nullptr) begin();  // of no cells
  to->finish();
  if (empty > 0) {
    reporter.warning(counted(empty, "cell has", "cells have") + " no counts, and nothing is filled in there");
  }
  if (witness) {
    const auto result = witness->finish({}, reporter);
    std::istringstream lines(fit::witness_text(result));
    for (std::string line; std::getline(lines, line);) reporter.info(line);
    if (options.witness_output != nullptr) {
      options.witness_output->write(is_json(*options.witness_output) ? fit::witness_json(result).dump(2) + "\n"
                                                                     : fit::witness_csv(result));
    }
  }
  totals.bad = stream->bad();
  return totals;
}

namespace {

// What is hidden of a block of cells, and what is left to be seen.
data::ThinnedCounts hidden_part(const data::CountView& counts, std::int64_t first_cell,
                                const CountEvaluation& evaluation) {
  if (evaluation.by == CountEvaluation::By::thinning)
    return data::thin(counts, first_cell, evaluation.seed, evaluation.share);
  data::ThinnedCounts parts;
  for (std::int64_t cell = 0; cell < counts.cells; ++cell) {
    const auto genes = counts.genes_of(cell);
    const auto of_cell = counts.counts_of(cell);
    for (std::size_t i = 0; i < genes.size(); ++i) {
      Random random(stream_key(evaluation.seed, "hidden counts", static_cast<std::uint64_t>(first_cell + cell),
                               static_cast<std::uint64_t>(genes[i])));
      auto& part = random.uniform() < evaluation.share ? parts.held_out : parts.kept;
      part.genes.push_back(genes[i]);
      part.counts.push_back(of_cell[i]);
    }
    for (auto* part : {&parts.kept, &parts.held_out}) part->begins.push_back(std::ssize(part->genes));
  }
  return parts;
}

// Guesses for a row, [elements] in network units.
class Guesser {
 public:
  Guesser(std::string name, std::unique_ptr<fit::Completion> completion, bool of_norm)
      : name(std::move(name)), completion(std::move(completion)), of_norm(of_norm) {}
  std::string name;
  std::unique_ptr<fit::Completion> completion;  // null: the model
  bool of_norm;                                 // its numbers are norms, not their logarithms
};

float to_norm(float value) { return std::expm1(std::max(value, 0.0f)); }

}  // namespace

ImputeTotals evaluate_counts(const recipe::Checkpoint& checkpoint, const CountImputeOptions& options,
                             const CountEvaluation& evaluation, Output& output, Reporter& reporter) {
  const auto& kind = counts_kind(checkpoint);
  check_network(checkpoint, "ae-impute", "fill counts");
  check_fill(checkpoint, kind, options.fill);
  // What is ranked among draws is above 0 where counts are hidden, and anything where molecules are.
  const bool thinned = evaluation.by == CountEvaluation::By::thinning;
  if (options.samples > 1) check_draws(checkpoint, !thinned);
  const std::int64_t elements = std::ssize(kind.domain().elements);
  const auto stream = kind.open_cells(options.stream, reporter);
  data::CellCounts hidden;  // of the block being visited
  stream->show([&](const data::CountView& counts, std::int64_t first_cell) {
    auto parts = hidden_part(counts, first_cell, evaluation);
    hidden = std::move(parts.held_out);
    return std::move(parts.kept);
  });

  // Means of logarithms are no logarithms of means: where molecules are counted, column means are of norms.
  fit::PartialMatrix logs, norms;
  logs.columns = norms.columns = elements;
  logs.holes_are_zero = norms.holes_are_zero = true;
  ImputeTotals totals;
  stream->for_each([&](const recipe::SampleBlock& block) {
    for (std::int64_t cell = 0; cell < block.batch.samples(); ++cell) {
      const float* values = block.batch.values.data_ptr<float>() + cell * elements;
      logs.append({values, static_cast<std::size_t>(elements)}, {values, static_cast<std::size_t>(elements)});
      ++totals.rows;
    }
  });
  if (thinned) {
    norms = logs;
    for (auto& value : norms.values) value = to_norm(value);
  }

  std::vector<Guesser> guessers;
  guessers.emplace_back("model", nullptr, false);
  for (const auto& entry : fit::completions()) {
    auto completion = entry.make();
    const bool of_norm = thinned && completion->averages();
    guessers.emplace_back(std::string(entry.name), std::move(completion), of_norm);
    guessers.back().completion->fit(of_norm ? norms : logs, evaluation.seed, reporter);
  }
  const auto means = fit::column_means(logs);
  std::vector<fit::MaskedFigures> masked;
  for (std::size_t i = 0; i < guessers.size(); ++i) masked.emplace_back(means.of_observed);
  std::vector<fit::ThinnedFigures> thinning(guessers.size());
  fit::Coverage coverage;

  std::vector<float> guess(static_cast<std::size_t>(elements)), truth(guess.size()), zeros, found, expected;
  std::int64_t row = 0;
  stream->for_each([&](const recipe::SampleBlock& block) {
    const auto told = checkpoint.autoencoder().counts(block.batch);
    const auto of_model = filling(told, options.fill, kind.options().zero_as_missing);
    const float* sizes = block.batch.sizes.data_ptr<float>();
    const auto& element_of = stream->elements_of_genes();
    const double to_hidden = evaluation.share / (1 - evaluation.share);
    // A gene that the file lacks was not counted, and its 0 is no truth.
    std::vector<std::size_t> judged;
    for (const auto element : element_of)
      if (element >= 0) judged.push_back(static_cast<std::size_t>(element));
    std::ranges::sort(judged);
    for (std::int64_t cell = 0; cell < block.batch.samples(); ++cell, ++row) {
      std::ranges::fill(truth, 0.0f);
      const auto genes = hidden.view().genes_of(cell);
      for (std::size_t i = 0; i < genes.size(); ++i) {
        const auto element = element_of[static_cast<std::size_t>(genes[i])];
        if (element >= 0) truth[static_cast<std::size_t>(element)] = hidden.view().counts_of(cell)[i];
      }
      const float* seen = block.batch.values.data_ptr<float>() + cell * elements;
      const double size = static_cast<double>(sizes[cell]);
      // Of a cell of which nothing is left the size is unknown.
      if (std::none_of(seen, seen + elements, [](float value) { return value > 0; })) continue;
      if (options.samples > 1) {
        const loss::CountDraw what{!thinned, thinned ? to_hidden : 1, stream->counts().whole(cell)};
        const auto number = block.numbers[static_cast<std::size_t>(cell)];
        const auto draws = draws_of(checkpoint.autoencoder(), told, cell, number, what, options);
        const auto truths = torch::from_blob(truth.data(), {elements}).to(torch::kFloat64);
        const auto below = (draws < truths).sum(0), equal = (draws == truths).sum(0);
        Random ties(stream_key(options.seed, "ranks of counts", static_cast<std::uint64_t>(number)));
        for (const auto e : judged) {
          if (!thinned && truth[e] == 0) continue;
          coverage.add(below.data_ptr<std::int64_t>()[e], equal.data_ptr<std::int64_t>()[e], options.samples,
                       ties.uniform());
        }
      }
      for (std::size_t m = 0; m < guessers.size(); ++m) {
        if (guessers[m].completion == nullptr) {
          std::copy_n(of_model.data_ptr<float>() + cell * elements, elements, guess.begin());
        } else {
          guessers[m].completion->row(row, guess);
        }
        if (thinned) {
          expected.clear();
          found.clear();
          for (const auto e : judged) {
            const float norm = guessers[m].of_norm ? std::max(guess[e], 0.0f) : to_norm(guess[e]);
            expected.push_back(static_cast<float>(static_cast<double>(norm) * size * to_hidden));
            found.push_back(truth[e]);
          }
          thinning[m].add(found, expected);
          continue;
        }
        zeros.clear();
        for (const auto e : judged) {
          if (truth[e] > 0) {
            masked[m].add(static_cast<std::int64_t>(e), std::log1p(static_cast<double>(truth[e]) / size),
                          static_cast<double>(guess[e]));
          } else if (seen[e] == 0) {
            zeros.push_back(guess[e]);
          }
        }
        masked[m].add_zeros(zeros);
      }
    }
  });

  std::vector<fit::MethodFigures> figures;
  for (std::size_t m = 0; m < guessers.size(); ++m) {
    figures.push_back({guessers[m].name, {}, {}, {}});
    if (guessers[m].completion == nullptr && options.samples > 1) figures.back().coverage = coverage.share();
    if (thinned) {
      figures.back().thinned = thinning[m].result();
    } else {
      figures.back().masked = masked[m].result();
    }
  }
  output.write(is_json(output) ? fit::figures_json(figures).dump(2) + "\n" : fit::figures_text(figures));
  totals.bad = stream->bad();
  return totals;
}

}  // namespace ae::apply
