// Arrays: the observations of transitions, an element for each of their numbers. A model knows them as a table of
// numbers, so that whatever takes tables takes their samples.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/arrays/options.hpp"
#include "data/hdf5/arrays.hpp"
#include "recipe/makers.hpp"
#include "recipe/table_kind.hpp"
#include "recipe/table_stream.hpp"

namespace ae::recipe {
namespace {

constexpr std::int64_t kMostWidth = std::int64_t{1} << 20;

// Observations as rows: as flat as they come, f0, f1, ...; the row's number is that of the transition.
class ObservationRows final : public data::RowSource {
 public:
  ObservationRows(const std::string& input, const data::ArrayOptions& options)
      : transitions_(data::open_arrays(input), options.transitions()), reader_(transitions_.read()) {
    const auto width = transitions_.width();
    if (width > kMostWidth)
      throw InputError(name() + ": an observation has " + counted(width, "numbers") + "; expected at most " +
                       std::to_string(kMostWidth));
    for (std::int64_t i = 0; i < width; ++i) columns_.push_back("f" + std::to_string(i));
    layout_.raw_header = join(columns_, ",", columns_.size());
  }

  const std::string& name() const override { return transitions_.name(); }
  const std::vector<std::string>& columns() const override { return columns_; }

  bool next() override {
    if (++at_ < block_.count) return ++row_, true;
    if (!reader_->next(data::block_transitions(transitions_.width()), block_)) return false;
    at_ = 0;
    return ++row_, true;
  }

  std::int64_t row() const override { return row_; }
  bool has_numbers() const override { return true; }
  double number(std::size_t column) const override {
    return block_.observations[static_cast<std::size_t>(at_) * columns_.size() + column];
  }
  std::string_view text(std::size_t column) const override {
    if (texts_.empty()) texts_.resize(columns_.size());
    auto& cell = texts_[column];
    if (cell.row != row_) {
      cell.text = number_text(number(column));
      cell.row = row_;
    }
    return cell.text;
  }
  std::string_view raw(std::size_t column) const override { return text(column); }
  std::string where(std::size_t column) const override {
    return name() + ": observation " + std::to_string(row_) + ", number " + std::to_string(column);
  }
  bool ready() override { return true; }
  std::uint64_t position() const override { return static_cast<std::uint64_t>(row_ + 1); }
  std::uint64_t size() const override { return static_cast<std::uint64_t>(transitions_.size()); }
  const Layout& layout() const override { return layout_; }

 private:
  data::Transitions transitions_;
  std::unique_ptr<data::TransitionReader> reader_;
  data::TransitionBlock block_;
  std::int64_t at_ = 0, row_ = -1;
  std::vector<std::string> columns_;
  struct Text {
    std::int64_t row = -1;
    std::string text;
  };
  mutable std::vector<Text> texts_;  // of the row they tell of
  Layout layout_;
};

class ArrayKind final : public TableKind {
 public:
  ArrayKind(data::Schema schema, data::ArrayOptions options)
      : TableKind(std::move(schema), "arrays", "observations"), options_(std::move(options)) {}

  std::unique_ptr<SampleStream> open(const StreamOptions& options, Reporter& reporter) const override {
    return std::make_unique<TableStream>(schema(), options, reporter, [this](const std::string& input) {
      return std::make_unique<ObservationRows>(input, options_);
    });
  }

 private:
  data::ArrayOptions options_;
};

class ArrayKindOptions final : public KindOptionsOf<data::ArrayOptions> {
 public:
  Dataset load(Reporter& reporter, data::HoldOut hold_out, int) const override {
    const auto path = data::file_of(data().path);
    ObservationRows rows(path.string(), data());
    auto table = data::load_table(rows, options_of_numbers(data()), reporter, hold_out);
    auto kind = std::make_unique<ArrayKind>(std::move(table.schema), data());
    const auto width = counted(kind->domain().elements.size(), "numbers each", "numbers each");
    auto read = dataset_of_numbers(rows.name(), std::move(table), std::move(kind), width);
    read.data_sha256 = sha256_of_file(data::file_of_arrays(path));
    return read;
  }

  std::unique_ptr<Kind> restore(const Metadata& metadata) const override {
    const auto json = json_entry(metadata, "schema");
    return evaluate::in_model("schema",
                              [&] { return std::make_unique<ArrayKind>(data::Schema::from_json(json), data()); });
  }
};

}  // namespace

const config::Entry<KindOptions> kArrayKind{
    "arrays", "Observations of transitions: NPZ, NPY and HDF5 files of arrays, folders of Minari.",
    [] { return std::unique_ptr<KindOptions>(std::make_unique<ArrayKindOptions>()); }};

}  // namespace ae::recipe
