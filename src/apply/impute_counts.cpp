#include "apply/impute_counts.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "apply/streams.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/counts/writer.hpp"
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
  const bool all = fill == Fill::gated || (fill == Fill::conditional && !kind.options().zero_as_missing);
  if (all && !tells_detections(checkpoint.autoencoder().loss())) {
    throw UsageError(checkpoint.name() +
                     ": has no loss term that tells zeros from counts: use --mode expected, or train with a \"hurdle\", "
                     "\"nb\", \"zinb\" or \"poisson\" term");
  }
}

// [cells, elements] float32 in network units.
at::Tensor filling(const loss::Counts& counts, Fill fill) {
  at::Tensor values;
  switch (fill) {
    case Fill::expected:
      values = counts.expected;
      break;
    case Fill::conditional:
      values = counts.conditional;
      break;
    case Fill::gated:
      values = torch::where(counts.detection > 0.5, counts.conditional, torch::zeros_like(counts.conditional));
      break;
  }
  return values.clamp_min(0).to(torch::kFloat32).contiguous();
}

// Where the answers go, cell by cell.
class CellOutput {
 public:
  virtual ~CellOutput() = default;
  // `values` of all genes in the file's order; `filled`: which of them are not what was read.
  virtual void add(std::int64_t cell, std::span<const float> values, const std::vector<bool>& filled) = 0;
  virtual void finish() = 0;
};

class Matrix final : public CellOutput {
 public:
  explicit Matrix(std::unique_ptr<data::MatrixWriter> writer) : writer_(std::move(writer)) {}
  void add(std::int64_t, std::span<const float> values, const std::vector<bool>&) override { writer_->add(values); }
  void finish() override { writer_->finish(); }

 private:
  std::unique_ptr<data::MatrixWriter> writer_;
};

class Triplets final : public CellOutput {
 public:
  Triplets(Output& output, const data::CountSource& source, bool names) : output_(output) {
    if (names) {
      genes_ = source.genes();
      cells_ = source.cell_names();
    }
    text_ = "row,column,value\n";
  }
  void add(std::int64_t cell, std::span<const float> values, const std::vector<bool>& filled) override {
    std::string row;
    append_csv_field(row, cells_.empty() ? std::to_string(cell) : cells_[static_cast<std::size_t>(cell)]);
    for (std::size_t gene = 0; gene < values.size(); ++gene) {
      if (!filled[gene]) continue;
      append_csv_field(text_ += row + ',', genes_.empty() ? std::to_string(gene) : genes_[gene]);
      char value[32];
      std::snprintf(value, sizeof value, ",%.6g\n", static_cast<double>(values[gene]));
      text_ += value;
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
  const auto& scale = kind.scale();
  const auto stream = kind.open_cells(options.stream, reporter);
  ImputeTotals totals;
  std::unique_ptr<CellOutput> to;
  std::vector<float> row;
  std::vector<bool> filled;
  stream->for_each([&](const recipe::SampleBlock& block) {
    auto& source = stream->source();
    const auto& elements = stream->elements_of_genes();
    if (to == nullptr) {
      const auto unread = std::ranges::count(elements, -1);
      if (unread > 0) {
        reporter.warning(source.name() + ": " + std::to_string(unread) + " of " + std::to_string(elements.size()) +
                         " genes are none that the network reads, and stay as they are; /data/genes 0 reads all");
      }
      if (options.only_missing) {
        to = std::make_unique<Triplets>(output, source, options.names);
      } else {
        data::MatrixAbout about{source, options.stream.inputs.front(), kind.options().format.layer};
        about.sparse = options.fill == Fill::gated;
        to = std::make_unique<Matrix>(data::make_matrix_writer(output, about, kFormats));
      }
      row.resize(elements.size());
      filled.resize(elements.size());
    }
    const auto values = filling(checkpoint.autoencoder().counts(block.batch), options.fill);
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
      const float* answers = values.data_ptr<float>() + cell * values.size(1);
      for (std::size_t gene = 0; gene < row.size(); ++gene) {
        filled[gene] = elements[gene] >= 0 && (options.denoise || row[gene] == 0);
        if (!filled[gene]) continue;
        row[gene] = in_unit(scale.norm(static_cast<double>(answers[elements[gene]])));
        ++totals.filled;
      }
      to->add(block.numbers[static_cast<std::size_t>(cell)], row, filled);
      ++totals.rows;
    }
  });
  if (to != nullptr) to->finish();
  totals.bad = stream->bad();
  return totals;
}

}  // namespace ae::apply
