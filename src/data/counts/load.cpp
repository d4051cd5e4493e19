#include "data/counts/load.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/repeats.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/cache_file.hpp"
#include "data/tables/schema.hpp"

namespace ae::data {
namespace {

constexpr std::int64_t kCellsAtOnce = 256;

// What load_counts() gives, in memory of its own.
struct Loaded {
  PreparedCounts prepared;
  std::shared_ptr<CellCounts> counts = std::make_shared<CellCounts>();
};

class Loader {
 public:
  Loader(const CountOptions& options, std::span<const CountReader* const> readers, Reporter& reporter, HoldOut hold_out)
      : options_(options),
        reporter_(reporter),
        hold_out_(hold_out),
        source_(open_counts(file_of(options.path), readers, options.format, reporter)) {}

  Loaded load() {
    choose_cells();
    read();
    hash();
    choose_held_out();
    fit();
    transform();
    loaded_.prepared.cells = counts().view();
    loaded_.prepared.owner = loaded_.counts;
    return std::move(loaded_);
  }

 private:
  CellCounts& counts() { return *loaded_.counts; }

  // --- which cells
  // -----------------------------------------------------------------------------------------------------

  void choose_cells() {
    chosen_.assign(static_cast<std::size_t>(source_->cells()), options_.rows.empty());
    if (!options_.rows.empty()) {
      for (const auto number : read_row_numbers(file_of(options_.rows), source_->cells()))
        chosen_[static_cast<std::size_t>(number)] = true;
    }
    if (options_.label.empty()) return;
    const CellTexts labels = source_->annotation(options_.label);
    if (options_.normal.empty()) return;
    std::vector<bool> is_normal;
    for (const auto& level : labels.levels) is_normal.push_back(label_matches(level, options_.normal));
    for (std::size_t cell = 0; cell < chosen_.size(); ++cell) {
      const auto code = labels.codes[cell];
      if (code < 0 || !is_normal[static_cast<std::size_t>(code)]) chosen_[cell] = false;
    }
    if (std::ranges::find(chosen_, true) != chosen_.end()) return;
    throw UsageError("/data/normal: no cell of " + source_->name() + " that is used has a label " +
                     ae::quoted(join(options_.normal)) + "; its labels are: " + join(labels.levels));
  }

  void read() {
    CellCounts block;
    for (std::int64_t begin = 0; begin < source_->cells(); begin += kCellsAtOnce) {
      throw_if_stopped("reading the counts");
      reporter_.progress("cells", static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(source_->cells()));
      const std::int64_t end = std::min(begin + kCellsAtOnce, source_->cells());
      block.clear();
      source_->read(begin, end, block);
      for (std::int64_t cell = begin; cell < end; ++cell) {
        if (!chosen_[static_cast<std::size_t>(cell)]) continue;
        counts().append(block.view(), cell - begin, cell - begin + 1);
        totals_.push_back(block.view().total(cell - begin));
        loaded_.prepared.numbers.push_back(cell);
      }
    }
    reporter_.progress_done();
    source_->report(reporter_);
    if (source_->cells() == 0) throw InputError(source_->name() + ": has no cells; expected at least one");
    if (counts().cells() == 0) throw UsageError("/data/rows: leaves no cell of " + source_->name());
  }

  void hash() {
    Sha256 sum;
    const auto add = [&](const auto& items) {
      sum.update({reinterpret_cast<const char*>(items.data()), items.size() * sizeof items[0]});
    };
    for (const auto& gene : source_->genes()) sum.update(gene + '\0');
    add(loaded_.prepared.numbers);
    add(counts().begins);
    add(counts().genes);
    add(counts().counts);
    loaded_.prepared.data_sha256 = sum.hex();
  }

  std::vector<std::uint64_t> hashes_of_cells() const {
    const CountView all = loaded_.counts->view();
    std::vector<std::uint64_t> hashes;
    for (std::int64_t cell = 0; cell < all.cells; ++cell) {
      std::uint64_t hash = 0;
      const auto genes = all.genes_of(cell);
      for (std::size_t i = 0; i < genes.size(); ++i)
        hash = mix64(hash ^ mix64(static_cast<std::uint64_t>(genes[i]) << 32 |
                                  std::bit_cast<std::uint32_t>(all.counts_of(cell)[i])));
      hashes.push_back(hash);
    }
    return hashes;
  }

  void choose_held_out() {
    const std::int64_t count = counts().cells();
    const auto wanted = std::llround(hold_out_.fraction * static_cast<double>(count));
    const auto most = std::clamp<std::int64_t>(wanted, 0, count - 1);
    const Repeats repeats(hashes_of_cells());
    std::vector<bool> held(static_cast<std::size_t>(count), false);
    std::int64_t held_count = 0;
    for (const auto cell : permutation(count, Random(stream_key(hold_out_.seed, "held-out cells")))) {
      if (held[static_cast<std::size_t>(cell)] || held_count + repeats.count(cell) > most) continue;
      repeats.for_each(cell, [&](std::int64_t same) { held[static_cast<std::size_t>(same)] = true; });
      held_count += repeats.count(cell);
    }
    for (std::int64_t cell = 0; cell < count; ++cell)
      (held[static_cast<std::size_t>(cell)] ? loaded_.prepared.held_out : loaded_.prepared.training).push_back(cell);
  }

  // --- what is made of them
  // --------------------------------------------------------------------------------------------

  void fit() {
    CountSchema& schema = loaded_.prepared.schema;
    const auto& training = loaded_.prepared.training;
    schema.genes = source_->genes();
    schema.scale.size_factors = options_.size_factors;
    schema.scale.log1p = options_.log1p;
    std::vector<double> totals;
    for (const auto cell : training) totals.push_back(totals_[static_cast<std::size_t>(cell)]);
    schema.scale.median_total = median_total(totals);
    const std::int64_t genes = std::ssize(schema.genes);
    const std::int64_t wanted = options_.genes_for(std::ssize(training));
    if (wanted == 0) {
      schema.selected = largest(std::vector<double>(schema.genes.size(), 0.0), 0);
    } else {
      schema.selected = largest(residual_variances(counts().view(), training, genes, reporter_), wanted);
    }
    if (schema.selected.empty()) {
      throw InputError(source_->name() + ": no gene varies between the " + std::to_string(training.size()) +
                       " training cells, so that there is nothing to learn; give other cells, or set /data/genes to 0");
    }
    if (options_.genes && wanted > std::ssize(schema.selected)) {
      reporter_.info(source_->name() + ": " + std::to_string(schema.selected.size()) + " of " + std::to_string(genes) +
                     " genes vary between the training cells; /data/genes asks for " + std::to_string(wanted));
    }
    std::vector<bool> seen(schema.genes.size(), false);
    for (const auto cell : training)
      for (const auto gene : counts().view().genes_of(cell)) seen[static_cast<std::size_t>(gene)] = true;
    for (const auto gene : schema.selected) schema.constant.push_back(!seen[static_cast<std::size_t>(gene)]);
  }

  // In place: what is left is shorter.
  void transform() {
    const CountSchema& schema = loaded_.prepared.schema;
    std::vector<std::int32_t> places(schema.genes.size(), -1);
    for (std::size_t i = 0; i < schema.selected.size(); ++i)
      places[static_cast<std::size_t>(schema.selected[i])] = static_cast<std::int32_t>(i);
    CellCounts& all = counts();
    std::size_t kept = 0, at = 0;
    for (std::size_t cell = 0; cell < totals_.size(); ++cell) {
      const double factor = schema.scale.factor(totals_[cell]);
      loaded_.prepared.factors.push_back(static_cast<float>(factor));
      for (const auto end = static_cast<std::size_t>(all.begins[cell + 1]); at < end; ++at) {
        const auto place = places[static_cast<std::size_t>(all.genes[at])];
        if (place < 0) continue;
        all.genes[kept] = place;
        all.counts[kept++] = static_cast<float>(schema.scale.value(static_cast<double>(all.counts[at]), factor));
      }
      all.begins[cell + 1] = static_cast<std::int64_t>(kept);
    }
    all.genes.resize(kept);
    all.genes.shrink_to_fit();
    all.counts.resize(kept);
    all.counts.shrink_to_fit();
  }

  const CountOptions& options_;
  Reporter& reporter_;
  HoldOut hold_out_;
  std::unique_ptr<CountSource> source_;
  std::vector<bool> chosen_;    // of the file's cells
  std::vector<double> totals_;  // of those chosen
  Loaded loaded_;
};

// --- the cache -------------------------------------------------------------------------------------------------------

enum Section { begins, genes, values, factors, training, held_out, cell_numbers, section_count };

CacheFile::Json write_sections(const Loaded& loaded, CacheFile::Writer& to) {
  const auto add = [&](Section section, const auto& items) {
    to.set_size(section, items.size() * sizeof items[0]);
    to.add(section, items.data(), items.size() * sizeof items[0]);
  };
  add(begins, loaded.counts->begins);
  add(genes, loaded.counts->genes);
  add(values, loaded.counts->counts);
  add(factors, loaded.prepared.factors);
  add(training, loaded.prepared.training);
  add(held_out, loaded.prepared.held_out);
  add(cell_numbers, loaded.prepared.numbers);
  CacheFile::Json json;
  json["schema"] = loaded.prepared.schema.to_json();
  json["data_sha256"] = loaded.prepared.data_sha256;
  return json;
}

template <typename T>
std::int64_t length(const CacheFile& file, Section section) {
  return static_cast<std::int64_t>(file.section(section).size() / sizeof(T));
}

template <typename T = std::int64_t>
std::vector<T> copied(const CacheFile& file, Section section) {
  const auto count = length<T>(file, section);
  const auto* first = file.array<T>(section, count);
  return {first, first + count};
}

PreparedCounts read_sections(std::shared_ptr<const CacheFile> file) {
  PreparedCounts prepared;
  prepared.schema = CountSchema::from_json(file->description().at("schema"));
  prepared.data_sha256 = file->description().at("data_sha256").get<std::string>();
  const std::int64_t cells = length<std::int64_t>(*file, begins) - 1, entries = length<float>(*file, values);
  prepared.cells = {cells, file->array<std::int64_t>(begins, cells + 1), file->array<std::int32_t>(genes, entries),
                    file->array<float>(values, entries)};
  if (cells < 0 || prepared.cells.begins[cells] != entries) file->throw_unfit();
  prepared.factors = copied<float>(*file, factors);
  if (std::ssize(prepared.factors) != cells) file->throw_unfit();
  prepared.training = copied(*file, training);
  prepared.held_out = copied(*file, held_out);
  prepared.numbers = copied(*file, cell_numbers);
  prepared.owner = std::move(file);
  return prepared;
}

PreparedCounts through_cache(const CountOptions& options, std::span<const CountReader* const> readers,
                             Reporter& reporter, HoldOut hold_out) {
  const auto path = file_of(options.path);
  const Unchanged unchanged(files_of_counts(path));
  std::string content;
  for (const auto& file : files_of_counts(path)) content += sha256_of_file(file) + '\n';
  if (!options.rows.empty()) content += sha256_of_file(file_of(options.rows));
  CountOptions meaning = options;
  meaning.cache = meaning.path = meaning.rows = {};
  const auto make = [&](CacheFile::Writer& writer, Reporter& recorder) {
    const Loaded loaded = Loader(options, readers, recorder, hold_out).load();
    unchanged.check();
    return write_sections(loaded, writer);
  };
  return read_sections(CacheFile::open(file_of(options.cache), cache_key("counts", meaning, path, hold_out, content),
                                       section_count, reporter, make));
}

}  // namespace

PreparedCounts load_counts(const CountOptions& options, std::span<const CountReader* const> readers, Reporter& reporter,
                           HoldOut hold_out) {
  if (!options.cache.empty()) return through_cache(options, readers, reporter, hold_out);
  return Loader(options, readers, reporter, hold_out).load().prepared;
}

}  // namespace ae::data
