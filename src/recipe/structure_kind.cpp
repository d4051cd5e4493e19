// Backbones of protein chains: stretches of residues in a frame of their own, an element for each coordinate of N, CA,
// C and O. A model knows them as a table of numbers, so that whatever takes tables takes their samples; what is
// restored is written as a structure, where the sample lay.
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/gemmi/open_structures.hpp"
#include "data/structures/options.hpp"
#include "data/structures/structure_writer.hpp"
#include "recipe/makers.hpp"
#include "recipe/table_kind.hpp"
#include "recipe/table_stream.hpp"

namespace ae::recipe {
namespace {

using geometry::kResidueNumbers;
constexpr const char* kIdColumn = "structure";

// Samples that were read ahead of those that are visited.
class ReadAhead {
 public:
  void put(std::int64_t number, const data::Window& window) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(number, window);
  }
  data::Window take(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    auto found = waiting_.extract(number);
    if (found.empty()) throw std::logic_error("a structure is written that was not read");
    return std::move(found.mapped());
  }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, data::Window> waiting_;
};

// `residues`: of a sample; 0: as many as the first one has. `several`: ids begin with the file's name.
class StructureRows final : public data::RowSource {
 public:
  StructureRows(std::string input, std::int64_t residues, const data::StructureOptions& options, Reporter& reporter,
                bool several, std::function<void(std::int64_t row, const data::Window&)> keep = {})
      : input_(std::move(input)),
        structures_(data::open_structures(input_, several, prefix_, reporter)),
        windows_(options.cut()),
        keep_(std::move(keep)),
        more_(advance()) {
    if (!more_) throw nothing(options);
    const auto width = std::ssize(window_.numbers);
    residues_ = residues != 0 ? residues : width / kResidueNumbers;
    columns_.emplace_back(kIdColumn);
    for (auto& name : data::window_columns(residues_)) columns_.push_back(std::move(name));
    layout_.raw_header = join(columns_, ",", columns_.size());
  }

  const std::string& name() const override { return input_; }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (row_ >= 0) more_ = more_ && advance();
    if (!more_) return false;
    ++row_;
    texts_.clear();
    if (std::ssize(window_.numbers) != residues_ * kResidueNumbers)
      throw InputError(input_ + ": structure " + ae::quoted(window_.id) + " has " +
                       counted(std::ssize(window_.numbers) / kResidueNumbers, "residues") + ", expected " +
                       std::to_string(residues_) +
                       "; set /data/residues to cut stretches of so many, or less, out of chains");
    if (keep_) keep_(row_, window_);
    return true;
  }

  std::int64_t row() const override { return row_; }
  bool has_numbers() const override { return true; }
  double number(std::size_t column) const override {
    return column == 0 ? std::numeric_limits<double>::quiet_NaN() : window_.numbers[column - 1];
  }
  std::string_view text(std::size_t column) const override {
    if (column == 0) return window_.id;
    if (std::isnan(number(column))) return "";
    return texts_.emplace_back(number_text(number(column)));
  }
  std::string_view raw(std::size_t column) const override { return text(column); }
  std::string where(std::size_t column) const override {
    return input_ + ": structure " + ae::quoted(window_.id) + ", " + columns_[column];
  }
  bool ready() override { return true; }
  std::uint64_t position() const override { return 0; }
  std::uint64_t size() const override { return 0; }
  const Layout& layout() const override { return layout_; }
  std::vector<std::string> notes() const override {
    if (left_out_ == 0) return {};
    return {counted(left_out_, "residues") +
            " are in no sample: they are behind the last one of a stretch without breaks, or in one that is too short"};
  }

 private:
  // To the next window.
  bool advance() {
    while (!windows_.next(window_)) {
      geometry::Backbone backbone;
      if (!structures_->next(backbone)) return false;
      left_out_ += windows_.begin(std::move(backbone));
    }
    window_.id.insert(0, prefix_);
    return true;
  }

  InputError nothing(const data::StructureOptions& options) const {
    return InputError(input_ + ": found no " + std::to_string(options.residues) +
                      " residues that follow each other without a break; expected at least one stretch of so many");
  }

  std::string input_, prefix_;
  std::unique_ptr<data::Structures> structures_;
  data::Windows windows_;
  std::function<void(std::int64_t, const data::Window&)> keep_;
  data::Window window_;
  std::int64_t left_out_ = 0;
  bool more_;
  std::int64_t residues_ = 0, row_ = -1;
  std::vector<std::string> columns_;
  mutable std::deque<std::string> texts_;  // of the row
  Layout layout_;
};

// Structures where the samples lay, with their replaced coordinates.
class StructureCopy final : public SampleCopy {
 public:
  StructureCopy(const data::Schema& schema, Output& output, ReadAhead& ahead, const SampleBlock* const& block)
      : schema_(schema),
        features_(schema.features()),
        writer_(data::make_structure_writer(output)),
        ahead_(ahead),
        block_(block) {}

  void add(std::int64_t sample, const Replaced& replaced, std::initializer_list<double>) override {
    const auto number = block_->numbers[static_cast<std::size_t>(sample)];
    const auto window = ahead_.take(number);
    geometry::Backbone backbone;
    backbone.id = window.id;
    backbone.residues.resize(window.numbers.size() / kResidueNumbers);
    std::size_t e = 0;
    for (auto& residue : backbone.residues) {
      for (std::size_t a = 0; a < geometry::kBackboneAtoms; ++a) {
        geometry::Point place;
        for (auto& axis : place) {
          const auto value = replaced(e);
          axis = value ? schema_.columns[features_[e]].scaler.unscale(*value) : window.numbers[e];
          ++e;
        }
        residue.observed[a] = std::ranges::none_of(place, [](double axis) { return std::isnan(axis); });
        if (residue.observed[a]) residue.atoms[a] = window.frame.out_of(place);
      }
      residue.follows = &residue != &backbone.residues.front();
    }
    writer_->add(backbone, number);
  }
  void add_unread(std::int64_t) override {}  // there are none
  void flush() override {}
  void finish() override { writer_->finish(); }

 private:
  const data::Schema& schema_;
  std::vector<std::size_t> features_;
  std::unique_ptr<data::StructureWriter> writer_;
  ReadAhead& ahead_;
  const SampleBlock* const& block_;  // being visited
};

class StructureStream final : public SampleStream {
 public:
  StructureStream(const data::Schema& schema, const StreamOptions& options, const data::StructureOptions& how,
                  Reporter& reporter)
      : schema_(schema),
        has_share_(options.share.has_value()),
        rows_(schema, options, reporter,
              [this, &how, &reporter, several = options.inputs.size() > 1](const std::string& input) {
                const auto residues = std::ssize(schema_.features()) / kResidueNumbers;
                const auto before = before_;
                const auto keep = [this, before](std::int64_t row, const data::Window& window) {
                  if (copies_) ahead_.put(before + row, window);
                };
                return std::make_unique<StructureRows>(input, residues, how, reporter, several, keep);
              }) {}

  void for_each(const Visit& visit) override {
    rows_.for_each([&](const SampleBlock& block) {
      block_ = &block;
      visit(block);
      before_ = block.numbers.back() + 1;
      block_ = nullptr;
    });
  }
  std::vector<std::int64_t> count(const std::function<void()>& visit) override { return rows_.count(visit); }
  bool has_labels() const override { return false; }
  BadSamples bad() const override { return rows_.bad(); }
  std::string observed_text(std::int64_t sample, std::size_t element) const override {
    return rows_.observed_text(sample, element);
  }
  std::string value_text(std::size_t element, double value, Digits digits) const override {
    return rows_.value_text(element, value, digits);
  }
  std::unique_ptr<SampleCopy> copy(Output& output, std::vector<std::string>, Digits) override {
    if (has_share_) return nullptr;
    copies_ = true;
    return std::make_unique<StructureCopy>(schema_, output, ahead_, block_);
  }

 private:
  const data::Schema& schema_;
  bool has_share_;  // of inputs, some of which are not read
  ReadAhead ahead_;
  const SampleBlock* block_ = nullptr;
  std::int64_t before_ = 0;  // samples of the inputs before the one that is read
  bool copies_ = false;
  TableStream rows_;
};

class StructureKind final : public TableKind {
 public:
  StructureKind(data::Schema schema, data::StructureOptions options)
      : TableKind(std::move(schema), "structures", "structures"), options_(std::move(options)) {}

  std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const override {
    return std::make_unique<StructureStream>(schema(), options, options_, reporter);
  }
  bool copies_are_text() const override { return false; }

 private:
  data::StructureOptions options_;
};

class StructureKindOptions final : public KindOptionsOf<data::StructureOptions> {
 public:
  Dataset load(Reporter& reporter, data::HoldOut hold_out, int) const override {
    const auto path = data::file_of(data().path);
    auto how = options_of_numbers(data());
    how.id = kIdColumn;
    how.columns.insert(how.columns.begin(), {kIdColumn, "id"});
    StructureRows rows(path.string(), data().residues, data(), reporter, false);
    if (data().frame == "own" && std::ssize(rows.columns()) - 1 == kResidueNumbers)
      throw UsageError(
          "/data/residues: a frame of its own leaves nothing of a single residue; expected two or more, or "
          "\"frame\": \"none\"");
    if (hold_out.fraction > 0 && data().residues > data().stride)
      reporter.warning(
          rows.name() +
          ": held-out stretches share residues with those that are trained on, so that their loss and "
          "p-values by them are too low for new chains; with a /data/stride of /data/residues they do not");
    auto table = data::load_table(rows, how, reporter, hold_out);
    auto kind = std::make_unique<StructureKind>(std::move(table.schema), data());
    const auto residues = std::ssize(kind->domain().elements) / kResidueNumbers;
    auto read = dataset_of_numbers(rows.name(), std::move(table), std::move(kind),
                                   counted(residues, "residues each", "residues each"));
    read.data_sha256 = sha256_of_file(path);
    return read;
  }

  std::unique_ptr<Kind> restore(const Metadata& metadata) const override {
    const auto json = json_entry(metadata, "schema");
    return evaluate::in_model("schema", [&] {
      auto schema = data::Schema::from_json(json);
      if (schema.features().empty() || std::ssize(schema.features()) % kResidueNumbers != 0)
        throw InputError("found " + counted(std::ssize(schema.features()), "columns") +
                         "; expected 12 for each residue");
      return std::make_unique<StructureKind>(std::move(schema), data());
    });
  }
};

}  // namespace

const config::Entry<KindOptions> kStructureKind{
    "structures", "Backbones of protein chains, or stretches of them: NPY, NPZ, PDB and mmCIF files.",
    [] { return std::unique_ptr<KindOptions>(std::make_unique<StructureKindOptions>()); }};

}  // namespace ae::recipe
