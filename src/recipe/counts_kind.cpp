#include "recipe/counts_kind.hpp"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/counts/load.hpp"
#include "data/hdf5/count_files.hpp"
#include "model/threads.hpp"
#include "recipe/gene_support.hpp"
#include "recipe/makers.hpp"

namespace ae::recipe {
namespace {

constexpr std::array kReaders{&data::kHdf5Counts, &data::kMatrixMarketFolder, &data::kMatrixMarketFile,
                              &data::kCountTable};

model::Domain domain_of(const data::CountSchema& schema) {
  std::vector<model::Element> elements;
  for (std::size_t i = 0; i < schema.selected.size(); ++i) {
    model::Element element{schema.genes[static_cast<std::size_t>(schema.selected[i])], 0, false};
    element.constant = schema.constant[i];
    element.counts = schema.scale.log1p;
    elements.push_back(std::move(element));
  }
  return {std::move(elements), {}, "matrices of counts", "cells"};
}

// Some of the cells of a sparse matrix of values.
class CellSamples final : public model::Samples {
 public:
  CellSamples(const data::PreparedCounts& prepared, std::vector<std::int64_t> cells, bool zero_as_missing)
      : all_(prepared.cells),
        owner_(prepared.owner),
        factors_(prepared.factors),
        cells_(std::move(cells)),
        elements_(std::ssize(prepared.schema.selected)),
        zero_as_missing_(zero_as_missing) {}

  std::int64_t size() const override { return std::ssize(cells_); }
  bool has_missing() const override { return zero_as_missing_; }

  model::Batch batch(const std::vector<std::int64_t>& indices) const override {
    const auto shape = {std::ssize(indices), elements_};
    model::Batch batch{torch::empty(shape), torch::empty(shape), torch::empty({std::ssize(indices)})};
    gather(indices, batch.values.data_ptr<float>(), batch.observed.data_ptr<float>());
    gather_sizes(indices, batch.sizes.data_ptr<float>());
    return batch;
  }

  bool gather_sizes(std::span<const std::int64_t> indices, float* sizes) const override {
    for (const auto index : indices)
      *sizes++ = factors_[static_cast<std::size_t>(cells_[static_cast<std::size_t>(index)])];
    return true;
  }

  model::Batch range(std::int64_t begin, std::int64_t end) const override {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(end - begin));
    std::iota(indices.begin(), indices.end(), begin);
    return batch(indices);
  }

  void gather(std::span<const std::int64_t> indices, float* values, float* observed) const override {
    const std::int64_t count = std::ssize(indices) * elements_;
    std::fill_n(values, count, 0.0f);
    if (observed != nullptr) std::fill_n(observed, count, zero_as_missing_ ? 0.0f : 1.0f);
    for (const auto index : indices) {
      const std::int64_t cell = cells_[static_cast<std::size_t>(index)];
      const auto genes = all_.genes_of(cell);
      const auto of_cell = all_.counts_of(cell);
      for (std::size_t i = 0; i < genes.size(); ++i) values[genes[i]] = of_cell[i];
      values += elements_;
      if (observed == nullptr) continue;
      for (const auto gene : genes) observed[gene] = 1;
      observed += elements_;
    }
  }

 private:
  data::CountView all_;
  std::shared_ptr<const void> owner_;
  std::vector<float> factors_;
  std::vector<std::int64_t> cells_;
  std::int64_t elements_;
  bool zero_as_missing_;
};

// --- new cells -------------------------------------------------------------------------------------------------------

class CountStream final : public CellStream {
 public:
  // The schema and options must outlive the stream.
  CountStream(const data::CountSchema& schema, const data::CountOptions& options, StreamOptions stream,
              Reporter& reporter)
      : schema_(schema), options_(options), stream_(std::move(stream)), reporter_(reporter) {
    const std::int64_t elements = std::ssize(schema.selected);
    block_cells_ = model::block_rows(elements, elements, model::threads_in_use());
    for (std::size_t i = 0; i < schema.genes.size(); ++i)
      numbers_.emplace(schema.genes[i], static_cast<std::int32_t>(i));
    element_of_.assign(schema.genes.size(), -1);
    for (std::size_t i = 0; i < schema.selected.size(); ++i)
      element_of_[static_cast<std::size_t>(schema.selected[i])] = static_cast<std::int32_t>(i);
  }

  void for_each(const Visit& visit) override {
    std::int64_t first_cell = 0;
    for (const auto& input : stream_.inputs) {
      open(input, reporter_);
      if (source_->cells() == 0 && !stream_.allow_empty)
        throw InputError(source_->name() + ": has no cells; expected at least one");
      std::int64_t begin = 0, end = source_->cells();
      if (const auto& share = stream_.share) {
        begin = std::clamp<std::int64_t>(share->first - first_cell, 0, end);
        end = std::clamp<std::int64_t>(share->end - first_cell, 0, end);
      }
      for (; begin < end; begin += block_cells_)
        visit_block(begin, std::min(begin + block_cells_, end), first_cell, visit);
      reporter_.progress_done();
      source_->report(reporter_);
      first_cell += source_->cells();
    }
  }

  std::vector<std::int64_t> count(const std::function<void()>& visit) override {
    SilentReporter silent;  // for_each() tells what there is to tell
    std::vector<std::int64_t> counts;
    for (const auto& input : stream_.inputs) {
      open(input, silent);
      visit();
      counts.push_back(source_->cells());
    }
    source_.reset();
    return counts;
  }

  bool has_labels() const override { return labels_.has_value(); }

  // Counts by the size of cells, as value_text() has them, so that both compare.
  std::string observed_text(std::int64_t sample, std::size_t element) const override {
    const auto at = sample * std::ssize(schema_.selected) + static_cast<std::int64_t>(element);
    if (seen_.data_ptr<float>()[at] == 0) return "";
    return value_text(element, static_cast<double>(values_.data_ptr<float>()[at]), Digits::all);
  }

  std::string value_text(std::size_t, double value, Digits) const override {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", schema_.scale.norm(value));
    return text;
  }

  std::unique_ptr<SampleCopy> copy(Output&, std::vector<std::string>, Digits) override { return nullptr; }

  data::CountSource& source() const override { return *source_; }
  const std::vector<std::int32_t>& elements_of_genes() const override { return elements_; }
  data::CountView counts() const override { return counts_.view(); }
  void show(Shown shown) override { show_ = std::move(shown); }

 private:
  void open(const std::string& input, Reporter& reporter) {
    // What was said of a file that did not tell is not said of one that does.
    auto format = options_.format;
    format.tells_itself = true;
    format.known_genes = schema_.genes;
    source_ = data::open_counts(input, kReaders, format, reporter);
    places_.clear();
    elements_.clear();
    std::vector<bool> there(schema_.genes.size(), false);
    for (const auto& gene : source_->genes()) {
      const auto found = numbers_.find(gene);
      places_.push_back(found == numbers_.end() ? -1 : found->second);
      elements_.push_back(places_.back() < 0 ? -1 : element_of_[static_cast<std::size_t>(places_.back())]);
      if (found != numbers_.end()) there[static_cast<std::size_t>(found->second)] = true;
    }
    tell_missing(there, reporter);
    observed_ = torch::zeros({std::ssize(schema_.selected)});
    for (std::size_t i = 0; i < schema_.selected.size(); ++i)
      observed_.data_ptr<float>()[i] = there[static_cast<std::size_t>(schema_.selected[i])] ? 1 : 0;
    labels_.reset();
    if (!options_.label.empty()) read_labels(reporter);
  }

  // Genes that the model reads and the file lacks are not observed; but most must be there.
  void tell_missing(const std::vector<bool>& there, Reporter& reporter) const {
    std::vector<std::string> missing;
    for (const auto gene : schema_.selected)
      if (!there[static_cast<std::size_t>(gene)]) missing.push_back(schema_.genes[static_cast<std::size_t>(gene)]);
    if (missing.empty()) return;
    constexpr std::size_t kNamed = 5;
    const std::string what = source_->name() + ": lacks " + std::to_string(missing.size()) + " of the " +
                             std::to_string(schema_.selected.size()) +
                             " genes that the model reads: " + join(missing, ", ", kNamed);
    if (2 * missing.size() > schema_.selected.size()) {
      std::vector<std::string> others;
      for (std::size_t i = 0; i < places_.size(); ++i)
        if (places_[i] < 0) others.push_back(source_->genes()[i]);
      throw InputError(what + "; more than half must be there" +
                       (others.empty() ? "" : ", and instead it has " + data::examples_of(others)) + ": " +
                       std::string(data::kOtherGenes));
    }
    reporter.warning(what + "; they count as not observed");
  }

  // New files need no labels.
  void read_labels(Reporter& reporter) {
    try {
      labels_ = source_->annotation(options_.label);
    } catch (const UsageError&) {
      reporter.detail(source_->name() + ": has no column " + ae::quoted(options_.label) +
                      ", so no labels pass through");
    }
  }

  void visit_block(std::int64_t begin, std::int64_t end, std::int64_t first_cell, const Visit& visit) {
    throw_if_stopped("reading");
    counts_.clear();
    source_->read(begin, end, counts_);
    const std::int64_t cells = end - begin, elements = std::ssize(schema_.selected);
    values_ = torch::zeros({cells, elements});
    seen_ =
        options_.zero_as_missing ? torch::zeros({cells, elements}) : observed_.expand({cells, elements}).contiguous();
    sizes_ = torch::empty({cells});
    const data::CellCounts shown = show_ ? show_(counts_.view(), begin) : data::CellCounts{};
    const data::CountView view = show_ ? shown.view() : counts_.view();
    SampleBlock block;
    for (std::int64_t cell = 0; cell < cells; ++cell) {
      sizes_.data_ptr<float>()[cell] =
          fill(view.genes_of(cell), view.counts_of(cell), values_.data_ptr<float>() + cell * elements,
               seen_.data_ptr<float>() + cell * elements);
      block.numbers.push_back(first_cell + begin + cell);
      const auto at = static_cast<std::size_t>(begin + cell);
      if (!source_->cell_names().empty()) block.ids.push_back(source_->cell_names()[at]);
      if (labels_) block.labels.emplace_back(labels_->text(begin + cell));
    }
    block.batch = {values_, seen_, sizes_};
    visit(block);
    reporter_.progress("cells", static_cast<std::uint64_t>(end), static_cast<std::uint64_t>(source_->cells()));
  }

  // A cell's total is over the genes that the model knows, so that others change nothing. Returns its size factor.
  float fill(std::span<const std::int32_t> genes, std::span<const float> counts, float* values, float* seen) const {
    double total = 0;
    for (std::size_t i = 0; i < genes.size(); ++i)
      if (places_[static_cast<std::size_t>(genes[i])] >= 0) total += static_cast<double>(counts[i]);
    const double factor = schema_.scale.factor(total);
    for (std::size_t i = 0; i < genes.size(); ++i) {
      const auto element = elements_[static_cast<std::size_t>(genes[i])];
      if (element < 0) continue;
      values[element] = static_cast<float>(schema_.scale.value(static_cast<double>(counts[i]), factor));
      seen[element] = 1;
    }
    return static_cast<float>(factor);
  }

  const data::CountSchema& schema_;
  const data::CountOptions& options_;
  StreamOptions stream_;
  Reporter& reporter_;
  std::int64_t block_cells_ = 1;
  std::unordered_map<std::string, std::int32_t> numbers_;  // of the model's genes
  std::vector<std::int32_t> element_of_;                   // of each of them, -1: not read
  // Of the input being visited:
  std::unique_ptr<data::CountSource> source_;
  std::vector<std::int32_t> elements_;  // of the file's genes among the network's elements, -1: none
  std::vector<std::int32_t> places_;    // of the file's genes among the model's, -1: unknown
  at::Tensor observed_;                 // [elements]
  std::optional<data::CellTexts> labels_;
  Shown show_;
  // Of the block being visited:
  data::CellCounts counts_;
  at::Tensor values_, seen_;  // [cells, elements]
  at::Tensor sizes_;          // [cells]
};

class CountsKindOptions final : public KindOptionsOf<data::CountOptions> {
 public:
  Dataset load(Reporter& reporter, data::HoldOut hold_out, int) const override {
    data::PreparedCounts prepared = data::load_counts(data(), kReaders, reporter, hold_out);
    if (prepared.training.size() < 2) {
      throw InputError(data().path.written +
                       ": only one cell to train on; at least two are needed to tell what varies "
                       "among normal cells: give more, or lower /training/validation_fraction");
    }
    tell_gene_support(prepared, data(), hold_out.seed, reporter);
    Dataset dataset;
    dataset.training = std::make_unique<CellSamples>(prepared, prepared.training, data().zero_as_missing);
    dataset.held_out = std::make_shared<CellSamples>(prepared, prepared.held_out, data().zero_as_missing);
    for (const auto cell : prepared.training)
      dataset.training_numbers.push_back(prepared.numbers[static_cast<std::size_t>(cell)]);
    dataset.summary = std::to_string(prepared.training.size()) + " training cells, " +
                      std::to_string(prepared.held_out.size()) + " held out, " +
                      std::to_string(prepared.schema.selected.size()) + " of " +
                      std::to_string(prepared.schema.genes.size()) + " genes";
    dataset.data_sha256 = prepared.data_sha256;
    dataset.kind = std::make_unique<CountsKind>(std::move(prepared.schema), data());
    return dataset;
  }

  std::unique_ptr<Kind> restore(const Metadata& metadata) const override {
    const auto json = json_entry(metadata, "counts");
    return evaluate::in_model("counts",
                              [&] { return std::make_unique<CountsKind>(data::CountSchema::from_json(json), data()); });
  }
};

}  // namespace

CountsKind::CountsKind(data::CountSchema schema, data::CountOptions options)
    : Kind(domain_of(schema)), schema_(std::move(schema)), options_(std::move(options)) {}

void CountsKind::save(Metadata& metadata) const { metadata["counts"] = schema_.to_json().dump(); }

std::vector<bool> CountsKind::supported() const {
  std::vector<bool> supported(schema_.selected.size(), true);
  // Where less than half of what varies is there at all, little is lost.
  constexpr double kReliable = 0.5;
  for (std::size_t i = 0; i < schema_.told.size(); ++i)
    supported[i] = schema_.reliability[i] < kReliable || schema_.told[i] >= schema_.reliability[i];
  return supported;
}

std::unique_ptr<CellStream> CountsKind::open_cells(const StreamOptions& options, Reporter& reporter) const {
  return std::make_unique<CountStream>(schema_, options_, options, reporter);
}
std::unique_ptr<SampleStream> CountsKind::open(const StreamOptions& options, Reporter& reporter) const {
  return open_cells(options, reporter);
}

const config::Entry<KindOptions> kCountsKind{
    "counts", "Cells of single-cell sequencing: 10x folders and .h5, .h5ad of AnnData, Matrix Market, text tables.",
    [] { return std::unique_ptr<KindOptions>(std::make_unique<CountsKindOptions>()); }};

}  // namespace ae::recipe
