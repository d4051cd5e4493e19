#include "train/first_weights.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/tables/schema.hpp"
#include "evaluate/model_file.hpp"

namespace ae::train {
namespace {

UsageError another(const std::string& name, const std::string& what) {
  return UsageError("--from " + name + ": " + what +
                    "; give the model and the columns that it was trained with, or leave --from out");
}

// The feature columns of a table's model; none of other kinds.
std::vector<data::Column> columns_of(const recipe::Metadata& metadata, const std::string& name) {
  if (!metadata.contains("schema")) return {};
  const auto schema =
      evaluate::in_model(name, [&] { return data::Schema::from_json(evaluate::json_entry(metadata, "schema")); });
  std::vector<data::Column> columns;
  for (const std::size_t i : schema.features()) columns.push_back(schema.columns[i]);
  return columns;
}

std::string described(const data::Column& column) {
  std::string text = std::string(data::role_name(column.role)) + " " + ae::quoted(column.name);
  if (column.role == data::Role::categorical) text += " with " + std::to_string(column.levels.size()) + " levels";
  return text;
}

}  // namespace

FirstWeights FirstWeights::open(const std::filesystem::path& path) {
  const auto file = evaluate::model_file(path);
  FirstWeights first;
  first.name_ = file.string();
  auto contents = data::read_safetensors(file);
  first.weights_ = data::arrays_under(contents.arrays, "model.");
  first.metadata_ = {contents.metadata.begin(), contents.metadata.end()};
  first.sha256_ = sha256_of_file(file);
  return first;
}

void FirstWeights::give_to(const model::NamedTensors& weights, const recipe::Kind& kind) const {
  check_columns(kind);
  check_shapes(weights);
  recipe::restore_tensors("", weights, weights_, name_);
}

void FirstWeights::check_columns(const recipe::Kind& kind) const {
  recipe::Metadata own;
  kind.save(own);
  const auto before = columns_of(metadata_, name_), now = columns_of(own, "this run");
  const auto [a, b] = std::mismatch(
      before.begin(), before.end(), now.begin(), now.end(),
      [](const auto& x, const auto& y) { return x.name == y.name && x.role == y.role && x.levels == y.levels; });
  if (a == before.end() && b == now.end()) return;
  const auto shown = [](auto at, auto end) { return at == end ? std::string("none") : described(*at); };
  throw another(name_, "column " + std::to_string(a - before.begin() + 1) + " is " + shown(a, before.end()) +
                           " there, and here it is " + shown(b, now.end()));
}

void FirstWeights::check_shapes(const model::NamedTensors& weights) const {
  if (weights_.empty()) throw another(name_, "holds no network");
  for (const auto& [weight, tensor] : weights) {
    const auto found = weights_.find(weight);
    const auto shape = tensor.sizes().vec();
    if (found != weights_.end() && found->second.shape == shape) continue;
    throw another(name_, "another architecture: " + ae::quoted(weight) + " is " +
                             (found == weights_.end() ? "missing" : data::shape_text(found->second.shape)) +
                             " there, and here it is " + data::shape_text(shape));
  }
  if (weights_.size() != weights.size()) {
    throw another(name_, "another architecture: it has " + std::to_string(weights_.size()) +
                             " tensors, here there are " + std::to_string(weights.size()));
  }
}

}  // namespace ae::train
