#include "fit/witness.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"
#include "data/bytes/source.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/labels.hpp"
#include "evaluate/rate_text.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/numbers.hpp"
#include "stats/conformal.hpp"

namespace ae::fit {
namespace {

constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kCellsAtOnce = 1024;

// The values' order, found once; ranks of any resample then take one pass.
class Ranking {
 public:
  explicit Ranking(std::span<const double> values) : order_(values.size()), group_(values.size()) {
    std::iota(order_.begin(), order_.end(), std::uint32_t{0});
    std::ranges::sort(order_, {}, [&](std::uint32_t i) { return values[i]; });
    for (std::size_t i = 1; i < order_.size(); ++i)
      group_[order_[i]] = group_[order_[i - 1]] + (values[order_[i]] != values[order_[i - 1]]);
    sizes_.resize(order_.empty() ? 0 : group_[order_.back()] + 1);
  }

  // Ranks, less their mean, of values of which each counts `times[i]` times.
  void ranks(std::span<const std::uint32_t> times, std::vector<double>& ranks) {
    std::ranges::fill(sizes_, 0.0);
    double all = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
      sizes_[group_[i]] += times[i];
      all += times[i];
    }
    double below = 0;
    for (double& size : sizes_) {
      const double mean_rank = below + (size - all) / 2;
      below += size;
      size = mean_rank;
    }
    ranks.resize(times.size());
    for (std::size_t i = 0; i < times.size(); ++i) ranks[i] = sizes_[group_[i]];
  }

 private:
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> group_;  // of each value: how many smaller ones differ
  std::vector<double> sizes_;
};

double correlation(std::span<const std::uint32_t> times, const std::vector<double>& a, const std::vector<double>& b) {
  double aa = 0, bb = 0, ab = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    aa += times[i] * a[i] * a[i];
    bb += times[i] * b[i] * b[i];
    ab += times[i] * a[i] * b[i];
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : kNotKnown;
}

// One gene before and after, against the witness.
class Agreement {
 public:
  Agreement(std::span<const double> witness, std::span<const double> before, std::span<const double> after)
      : witness_(witness), before_(before), after_(after), times_(witness.size(), 1) {}

  std::pair<double, double> now() {
    witness_.ranks(times_, of_witness_);
    before_.ranks(times_, of_gene_);
    const double before = correlation(times_, of_witness_, of_gene_);
    after_.ranks(times_, of_gene_);
    return {before, correlation(times_, of_witness_, of_gene_)};
  }

  // What does not vary in a resample is not correlated there.
  double resampled_difference(Random random) {
    std::ranges::fill(times_, 0u);
    for (std::size_t i = 0; i < times_.size(); ++i) ++times_[random.below(times_.size())];
    const auto [before, after] = now();
    return (std::isnan(after) ? 0 : after) - (std::isnan(before) ? 0 : before);
  }

 private:
  Ranking witness_, before_, after_;
  std::vector<std::uint32_t> times_;
  std::vector<double> of_witness_, of_gene_;
};

double mean_of(const std::vector<WitnessedGene>& genes, double WitnessedGene::*member) {
  double sum = 0, count = 0;
  for (const auto& gene : genes) {
    if (std::isnan(gene.difference)) continue;
    sum += gene.*member;
    ++count;
  }
  return count > 0 ? sum / count : kNotKnown;
}

WitnessPair parse_pair(std::string_view text, const std::string& place) {
  const auto equals = text.find('=');
  WitnessPair pair;
  if (equals != std::string_view::npos)
    pair = {std::string(trimmed(text.substr(0, equals))), std::string(trimmed(text.substr(equals + 1)))};
  if (pair.gene.empty() || pair.column.empty())
    throw UsageError(place + ae::quoted(text) + " pairs no gene with a column; expected GENE=COLUMN");
  return pair;
}

// Null when it is a table.
const data::CountReader* reader_of(const std::filesystem::path& path,
                                   std::span<const data::CountReader* const> readers) {
  if (readers.empty() || path == "-") return nullptr;
  std::error_code ignored;
  std::string head;
  if (!std::filesystem::is_directory(path, ignored)) head = data::read_head(*data::ByteSource::open(path));
  const auto found = std::ranges::find_if(readers, [&](const auto* reader) { return reader->reads(path, head); });
  return found == readers.end() ? nullptr : *found;
}

std::unordered_map<std::string, std::size_t> places_of(const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < names.size(); ++i) places.emplace(names[i], i);
  return places;
}

void append_figure(std::string& out, double value) {
  out += ',';
  if (std::isfinite(value)) append_number(out, value);
}

nlohmann::ordered_json figure_json(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

double spearman(std::span<const double> a, std::span<const double> b) { return Agreement(a, b, b).now().first; }

std::vector<WitnessPair> witness_pairs(const std::vector<std::string>& texts) {
  std::vector<WitnessPair> pairs;
  for (const auto& text : texts) pairs.push_back(parse_pair(text, ""));
  return pairs;
}

std::vector<WitnessPair> read_witness_pairs(const std::filesystem::path& path) {
  const std::string text = read_file(path, FileKind::config);
  std::vector<WitnessPair> pairs;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line);
    if (!line.empty() && line.front() != '#')
      pairs.push_back(parse_pair(line, path.string() + ":" + std::to_string(number) + ": "));
  }
  if (pairs.empty()) throw UsageError(path.string() + ": pairs no gene with a column; expected lines GENE=COLUMN");
  return pairs;
}

Witness::Witness(const WitnessReading& how, std::vector<std::string> genes,
                 std::span<const data::CountReader* const> readers, Reporter& reporter)
    : name_(how.path.string()), genes_(std::move(genes)) {
  const auto* reader = reader_of(how.path, readers);
  if (!how.obsm.empty()) {
    if (reader == nullptr || reader->open_obsm == nullptr)
      throw UsageError(name_ + ": has no obsm to take " + ae::quoted(how.obsm) +
                       " from; expected an .h5ad file of AnnData");
    read_obsm(how, *reader);
  } else if (reader != nullptr) {
    read_counts(how, readers, reporter);
  } else {
    read_table(how, reporter);
  }
  series_.resize(pairs_.size());
}

void Witness::pair_up(const WitnessReading& how, const std::vector<std::string>& columns) {
  const auto genes = places_of(genes_), there = places_of(columns);
  for (const auto& pair : how.pairs) {
    const auto gene = genes.find(pair.gene);
    if (gene == genes.end())
      throw UsageError(ae::quoted(pair.gene + "=" + pair.column) + ": no gene " + ae::quoted(pair.gene) +
                       " was imputed" + did_you_mean(pair.gene, genes_));
    if (!there.contains(pair.column))
      throw UsageError(ae::quoted(pair.gene + "=" + pair.column) + ": no column " + ae::quoted(pair.column) + " in " +
                       name_ + did_you_mean(pair.column, columns));
    pairs_.push_back({pair, gene->second});
  }
  if (!how.pairs.empty()) return;
  for (const auto& column : columns)
    if (const auto gene = genes.find(column); gene != genes.end()) pairs_.push_back({{column, column}, gene->second});
  if (pairs_.empty())
    throw UsageError(name_ + ": none of its " + std::to_string(columns.size()) + " columns has the name of a gene (" +
                     (columns.empty() ? std::string("none") : ae::quoted(columns.front())) + " there, " +
                     (genes_.empty() ? std::string("none") : ae::quoted(genes_.front())) +
                     " here); pair them as GENE=COLUMN");
}

void Witness::learn_id(std::string id, const std::string& place) {
  if (example_.empty()) example_ = id;
  const auto [found, fresh] = rows_.try_emplace(std::move(id), Known{rows_.size(), false});
  if (!fresh)
    throw InputError(place + ": id " + ae::quoted(found->first) + " occurs a second time; ids must be unique");
}

void Witness::read_table(const WitnessReading& how, Reporter& reporter) {
  evaluate::ScoreReader reader(how.path, reporter);
  name_ = reader.name();
  auto names = reader.rows().columns();
  auto id = how.id ? std::optional(reader.require(*how.id, "ids", "the option for the witness's id column"))
                   : reader.find("id");
  if (!id) {
    id = 0;
    reporter.info(name_ + ": its first column, " + ae::quoted(names.front()) + ", is taken for the ids");
  }
  auto columns = names;
  columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(*id));
  pair_up(how, columns);
  const auto there = places_of(names);
  std::vector<std::size_t> places;
  for (const auto& pair : pairs_) places.push_back(there.at(pair.pair.column));
  const Numbers numbers({}, MissingCells::mean);
  while (reader.next()) {
    learn_id(std::string(reader.text(*id)), reader.where(*id));
    for (const auto place : places)
      values_.push_back(numbers.number(reader, place, "expected what was measured, a number, or an empty cell"));
  }
}

void Witness::read_counts(const WitnessReading& how, std::span<const data::CountReader* const> readers,
                          Reporter& reporter) {
  // Beside the genes a 10x file may have what else was measured, which is the witness.
  data::CountFormat format;
  format.other_than = data::CountFormat().feature_type;
  const auto source = data::open_counts(how.path, readers, format, reporter);
  if (source->cell_names().empty())
    throw InputError(name_ + ": its cells have no names to be matched by; give a file with names, or a table of ids");
  pair_up(how, source->genes());
  for (const auto& id : source->cell_names()) learn_id(id, name_);
  // Several pairs may share a column.
  const auto there = places_of(source->genes());
  std::unordered_multimap<std::int32_t, std::size_t> pairs_of;
  for (std::size_t p = 0; p < pairs_.size(); ++p)
    pairs_of.emplace(static_cast<std::int32_t>(there.at(pairs_[p].pair.column)), p);
  values_.assign(rows_.size() * pairs_.size(), 0.0);
  data::CellCounts counts;
  for (std::int64_t begin = 0; begin < source->cells(); begin += kCellsAtOnce) {
    throw_if_stopped("reading the witness");
    counts.clear();
    source->read(begin, std::min(begin + kCellsAtOnce, source->cells()), counts);
    const auto view = counts.view();
    for (std::int64_t cell = 0; cell < view.cells; ++cell) {
      const auto at = static_cast<std::size_t>(begin + cell) * pairs_.size();
      for (std::size_t e = 0; e < view.genes_of(cell).size(); ++e) {
        const auto [first, last] = pairs_of.equal_range(view.genes_of(cell)[e]);
        for (auto pair = first; pair != last; ++pair) values_[at + pair->second] = view.counts_of(cell)[e];
      }
    }
  }
}

void Witness::read_obsm(const WitnessReading& how, const data::CountReader& reader) {
  const auto measured = reader.open_obsm(how.path, how.obsm);
  name_ = measured.name;
  pair_up(how, measured.columns);
  for (const auto& id : measured.cells) learn_id(id, name_);
  const auto there = places_of(measured.columns);
  values_.resize(rows_.size() * pairs_.size());
  for (std::size_t p = 0; p < pairs_.size(); ++p) {
    throw_if_stopped("reading the witness");
    const auto values = measured.values(there.at(pairs_[p].pair.column));
    for (std::size_t row = 0; row < rows_.size(); ++row) values_[row * pairs_.size() + p] = values.at(row);
  }
}

void Witness::add(const std::string& id, std::span<const float> before, std::span<const float> after) {
  if (example_given_.empty()) example_given_ = id;
  const auto found = rows_.find(id);
  if (found == rows_.end()) {
    ++unknown_;
    return;
  }
  if (found->second.met)
    throw InputError("id " + ae::quoted(id) + " occurs a second time among the cells; the witness is matched by id");
  found->second.met = true;
  ++matched_;
  for (std::size_t p = 0; p < pairs_.size(); ++p) {
    const double value = values_[found->second.row * pairs_.size() + p];
    if (std::isnan(value)) continue;
    series_[p].witness.push_back(value);
    series_[p].before.push_back(before[pairs_[p].gene]);
    series_[p].after.push_back(after[pairs_[p].gene]);
  }
}

WitnessResult Witness::finish(const WitnessOptions& options, Reporter& reporter) const {
  if (matched_ == 0 && unknown_ > 0)
    throw UsageError(name_ + ": none of its " + std::to_string(rows_.size()) + " ids is an id of a cell (" +
                     ae::quoted(example_) + " there, " + ae::quoted(example_given_) + " here)");
  WitnessResult result;
  result.name = name_;
  result.cells = matched_;
  result.not_in_witness = unknown_;
  result.options = options;
  for (std::size_t p = 0; p < pairs_.size(); ++p) {
    const auto& [witness, before, after] = series_[p];
    WitnessedGene gene;
    gene.pair = pairs_[p].pair;
    gene.cells = std::ssize(witness);
    gene.interval = {kNotKnown, kNotKnown};
    Agreement agreement(witness, before, after);
    std::tie(gene.before, gene.after) = agreement.now();
    gene.difference = gene.after - gene.before;
    if (!std::isnan(gene.difference) && options.resamples > 0) {
      std::vector<double> differences;
      for (std::int64_t r = 0; r < options.resamples; ++r) {
        throw_if_stopped("bootstrap of the witness");
        differences.push_back(agreement.resampled_difference(
            Random(stream_key(options.seed, "witness", static_cast<std::uint64_t>(r), p))));
      }
      std::ranges::sort(differences);
      gene.interval = evaluate::percentile_interval(differences, options.confidence);
    }
    result.gained += gene.difference > 0;
    result.lost += gene.difference < 0;
    result.genes.push_back(std::move(gene));
    reporter.progress("genes", p + 1, pairs_.size(), "witness");
  }
  reporter.progress_done();
  const auto fewer = std::min(result.gained, result.lost), both = result.gained + result.lost;
  result.sign_test = both == 0 ? 1 : std::min(1.0, 2 * stats::binomial_cdf(fewer, both, 0.5));
  result.mean_before = mean_of(result.genes, &WitnessedGene::before);
  result.mean_after = mean_of(result.genes, &WitnessedGene::after);
  return result;
}

std::vector<std::string> WitnessResult::spoiled() const {
  std::vector<std::string> names;
  for (const auto& gene : genes)
    if (gene.spoiled()) names.push_back(gene.pair.gene);
  return names;
}

std::string witness_csv(const WitnessResult& result) {
  std::string text = "gene,column,cells,before,after,difference,low,high\n";
  for (const auto& gene : result.genes) {
    append_csv_field(text, gene.pair.gene);
    text += ',';
    append_csv_field(text, gene.pair.column);
    text += ',' + std::to_string(gene.cells);
    for (const double figure : {gene.before, gene.after, gene.difference, gene.interval.low, gene.interval.high})
      append_figure(text, figure);
    text += '\n';
  }
  return text;
}

nlohmann::ordered_json witness_json(const WitnessResult& result) {
  nlohmann::ordered_json json{{"witness", result.name},
                              {"cells", result.cells},
                              {"not_in_witness", result.not_in_witness},
                              {"mean_before", figure_json(result.mean_before)},
                              {"mean_after", figure_json(result.mean_after)},
                              {"gained", result.gained},
                              {"lost", result.lost},
                              {"sign_test", result.sign_test},
                              {"spoiled", result.spoiled()},
                              {"confidence", result.options.confidence},
                              {"resamples", result.options.resamples},
                              {"seed", result.options.seed},
                              {"genes", nlohmann::ordered_json::array()}};
  for (const auto& gene : result.genes)
    json["genes"].push_back({{"gene", gene.pair.gene},
                             {"column", gene.pair.column},
                             {"cells", gene.cells},
                             {"before", figure_json(gene.before)},
                             {"after", figure_json(gene.after)},
                             {"difference", figure_json(gene.difference)},
                             {"interval", {figure_json(gene.interval.low), figure_json(gene.interval.high)}},
                             {"verdict", gene.spoiled()    ? "spoiled"
                                         : gene.improved() ? "improved"
                                                           : "unclear"}});
  return json;
}

std::string witness_text(const WitnessResult& result) {
  using evaluate::rate_text;
  std::string text = printable(result.name) + ": " + std::to_string(result.cells) + " cells, " +
                     std::to_string(result.genes.size()) + " genes; mean Spearman correlation " +
                     rate_text(result.mean_before) + " before, " + rate_text(result.mean_after) + " after\n";
  text += std::to_string(result.gained) + " genes gained, " + std::to_string(result.lost) +
          " lost: sign test p = " + rate_text(result.sign_test, 3) + "\n";
  for (const auto& gene : result.genes) {
    if (!gene.spoiled()) continue;
    text += "spoiled: " + printable(gene.pair.gene) + ", " + rate_text(gene.before) + " to " + rate_text(gene.after) +
            " (" + number_text(100 * result.options.confidence) + " % interval of the difference " +
            evaluate::difference_text(gene.interval.low) + " to " + evaluate::difference_text(gene.interval.high) +
            ")\n";
  }
  return text;
}

}  // namespace ae::fit
