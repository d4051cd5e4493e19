#include "data/counts/options.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

constexpr std::array<config::Choice, 3> kOrientations{{
    {"auto", "as the format has it; a text table or a Matrix Market file alone does not tell, and is refused"},
    {"cells_by_genes", "a row is a cell"},
    {"genes_by_cells", "a row is a gene"},
}};

constexpr std::array<config::Choice, 2> kGeneNames{{
    {"symbol", "the name, as CD3E"},
    {"id", "the identifier, as ENSG00000198851"},
}};

}  // namespace

void CountOptions::fields(config::Fields& f) {
  f.path(
      "path", path,
      "A 10x folder (matrix.mtx with its names), an .h5ad file of AnnData, a 10x .h5 file, a Matrix Market file, or a "
      "text table of counts; text may be compressed.");
  f.choice("orientation", format.orientation, kOrientations, "Which way round a matrix of counts is.");
  f.text("layer", format.layer,
         "The layer of an .h5ad file that holds the counts; empty takes X, \"raw\" takes raw/X with its genes.");
  f.choice("gene_names", format.gene_names, kGeneNames, "By which of their names a 10x file's genes are known.");
  f.text("feature_type", format.feature_type, "The type of 10x features that is read; empty reads all.");
  f.text("genome", format.genome, "The genome to read of a 10x .h5 file of version 2; empty takes the only one.");
  declare_cache(f);
  f.path("rows", rows, "A file with one 0-based number of a cell a line; only these cells are used.");
  f.text(
      "label", label,
      "The column of an .h5ad file's obs with the known class of each cell; it is passed through, never learned from.");
  f.scalars("normal", normal, "The label value or values that mean normal; only cells with one of them are used.");
  f.optional_integer(
      "genes", genes, {0, kMostGenes},
      "How many genes the network sees: those whose Pearson residuals vary most between training cells; 0 takes all, "
      "null 2,000, or of few cells more: as many as make 4 million values.");
  f.boolean("size_factors", size_factors, "Divide a cell's counts by its total over the training cells' median total.");
  f.boolean("log1p", log1p, "Take log(1 + count), after the division.");
  f.boolean(
      "zero_as_missing", zero_as_missing,
      "A count of 0 is taken for one that was missed: nothing is asked of it, and what is learned is how much there "
      "is where anything is.");
}

std::int64_t CountOptions::genes_for(std::int64_t training_cells) const {
  constexpr std::int64_t kUsual = 2000, kValues = 4'000'000;
  return genes.value_or(std::max(kUsual, kValues / std::max<std::int64_t>(training_cells, 1)));
}

void CountOptions::check(std::vector<config::Problem>& problems) const {
  if (!normal.empty() && label.empty()) {
    problems.push_back({"/normal", "there is no label to compare with; set /data/label to a column of obs"});
  }
  for (std::size_t i = 0; i < normal.size(); ++i) {
    if (!trimmed(normal[i]).empty()) continue;
    problems.push_back({normal.size() == 1 ? "/normal" : "/normal/" + std::to_string(i),
                        "an empty label never means normal; name a label value"});
  }
}

nlohmann::ordered_json CountSchema::to_json() const {
  nlohmann::ordered_json json;
  json["size_factors"] = scale.size_factors;
  json["log1p"] = scale.log1p;
  json["median_total"] = scale.median_total;
  json["genes"] = genes;
  json["selected"] = selected;
  auto& numbers = json["constant"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < constant.size(); ++i)
    if (constant[i]) numbers.push_back(i);
  if (!reliability.empty()) {
    json["reliability"] = reliability;
    json["told_by_others"] = told;
  }
  return json;
}

namespace {

using Json = nlohmann::ordered_json;

const Json& member(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) throw InputError("/" + std::string(key) + ": is missing");
  return json[key];
}

bool flag(const Json& json, const char* key) {
  const Json& value = member(json, key);
  if (!value.is_boolean()) throw InputError("/" + std::string(key) + ": expected true or false");
  return value.get<bool>();
}

// Ascending numbers from 0 to below `end`.
std::vector<std::int32_t> numbers(const Json& json, const char* key, std::size_t end) {
  const Json& list = member(json, key);
  if (!list.is_array()) throw InputError("/" + std::string(key) + ": expected an array");
  std::vector<std::int32_t> found;
  for (const auto& item : list) {
    const std::int64_t least = found.empty() ? 0 : found.back() + 1;
    const std::int64_t number = item.is_number_integer() ? item.get<std::int64_t>() : -1;
    if (number < least || number >= static_cast<std::int64_t>(end)) {
      throw InputError("/" + std::string(key) + "/" + std::to_string(found.size()) + ": expected a whole number from " +
                       std::to_string(least) + " to below " + std::to_string(end));
    }
    found.push_back(static_cast<std::int32_t>(number));
  }
  return found;
}

// Squared correlations of `count` genes; {} where they are not there, as in models of before they were.
std::vector<double> shares(const Json& json, const char* key, std::size_t count) {
  if (!json.contains(key)) return {};
  const Json& list = json[key];
  if (!list.is_array() || list.size() != count)
    throw InputError("/" + std::string(key) + ": expected an array of " + std::to_string(count) + " numbers");
  std::vector<double> found;
  for (const auto& item : list) {
    found.push_back(item.is_number() ? item.get<double>() : -1);
    if (!(found.back() >= 0 && found.back() <= 1)) {
      throw InputError("/" + std::string(key) + "/" + std::to_string(found.size() - 1) +
                       ": expected a number from 0 to 1");
    }
  }
  return found;
}

std::vector<std::string> gene_names(const Json& json) {
  const Json& list = member(json, "genes");
  if (!list.is_array() || list.empty()) throw InputError("/genes: expected an array of names");
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  for (const auto& item : list) {
    const std::string place = "/genes/" + std::to_string(names.size());
    if (!item.is_string()) throw InputError(place + ": expected a text");
    names.push_back(item.get<std::string>());
    if (!seen.insert(names.back()).second) throw InputError(place + ": is there twice");
  }
  return names;
}

}  // namespace

CountSchema CountSchema::from_json(const Json& json) {
  CountSchema schema;
  schema.scale.size_factors = flag(json, "size_factors");
  schema.scale.log1p = flag(json, "log1p");
  const Json& median = member(json, "median_total");
  schema.scale.median_total = median.is_number() ? median.get<double>() : 0;
  if (!(schema.scale.median_total > 0) || !std::isfinite(schema.scale.median_total))
    throw InputError("/median_total: expected a number above 0");
  schema.genes = gene_names(json);
  schema.selected = numbers(json, "selected", schema.genes.size());
  if (schema.selected.empty()) throw InputError("/selected: is empty");
  schema.constant.assign(schema.selected.size(), false);
  for (const auto i : numbers(json, "constant", schema.selected.size()))
    schema.constant[static_cast<std::size_t>(i)] = true;
  schema.reliability = shares(json, "reliability", schema.selected.size());
  schema.told = shares(json, "told_by_others", schema.selected.size());
  if (schema.reliability.size() != schema.told.size())
    throw InputError("/reliability: expected with /told_by_others, of as many genes");
  return schema;
}

}  // namespace ae::data
