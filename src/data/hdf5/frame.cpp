#include "data/hdf5/frame.hpp"

#include <cmath>
#include <unordered_map>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

std::string truth_text(bool value) { return value ? "True" : "False"; }

std::vector<std::string> texts_of(const Hdf5Dataset& values) {
  using Type = Hdf5Dataset::Type;
  std::vector<std::string> texts;
  switch (values.type()) {
    case Type::text:
      return values.texts();
    case Type::number:
      for (const double number : values.numbers()) texts.push_back(std::isnan(number) ? "" : number_text(number));
      return texts;
    case Type::integer:
      for (const auto number : values.integers()) texts.push_back(std::to_string(number));
      return texts;
    case Type::boolean:
      for (const auto number : values.integers()) texts.push_back(truth_text(number != 0));
      return texts;
    case Type::other:
      break;
  }
  values.fail("is neither text nor numbers");
}

CellTexts with_levels(const Hdf5File& file, const std::string& place, std::vector<std::string> levels,
                      const std::vector<std::int64_t>& codes) {
  CellTexts column{std::move(levels), {}};
  for (const auto code : codes) {
    if (code < -1 || code >= std::ssize(column.levels))
      file.fail(place, "holds the code " + std::to_string(code) + " of " + std::to_string(column.levels.size()) +
                           " categories; the file is damaged");
    column.codes.push_back(static_cast<std::int32_t>(code));
  }
  return column;
}

CellTexts with_codes(std::vector<std::string> texts) {
  CellTexts column;
  std::unordered_map<std::string, std::int32_t> known;
  for (auto& text : texts) {
    if (text.empty()) {
      column.codes.push_back(-1);
      continue;
    }
    const auto [at, is_new] = known.try_emplace(std::move(text), static_cast<std::int32_t>(column.levels.size()));
    if (is_new) column.levels.push_back(at->first);
    column.codes.push_back(at->second);
  }
  return column;
}

}  // namespace

Masked masked_at(const Hdf5File& file, const std::string& place, const char* expected) {
  if (file.node(place) != Hdf5File::Node::group) return {file.dataset(place), {}};
  if (!file.has(place + "/values")) {
    file.fail(place,
              "is encoded as " + ae::quoted(file.text_attribute(place, "encoding-type")) + "; expected " + expected);
  }
  Masked masked{file.dataset(place + "/values"), file.dataset(place + "/mask").integers()};
  if (std::ssize(masked.missing) != masked.values.size())
    file.fail(place, "has a mask of another length; the file is damaged");
  return masked;
}

std::vector<std::string> texts_at(const Hdf5File& file, const std::string& place) {
  const auto [values, missing] = masked_at(file, place, "texts, numbers, categories or truth values");
  auto texts = texts_of(values);
  for (std::size_t i = 0; i < missing.size(); ++i)
    if (missing[i] != 0) texts[i].clear();
  return texts;
}

CellTexts read_column(const Hdf5File& file, const std::string& frame, const std::string& name) {
  const std::string place = frame + "/" + name, former = frame + "/__categories/" + name;
  if (file.has(place + "/categories"))
    return with_levels(file, place, texts_at(file, place + "/categories"), file.dataset(place + "/codes").integers());
  if (file.has(former)) return with_levels(file, place, texts_at(file, former), file.dataset(place).integers());
  return with_codes(texts_at(file, place));
}

std::vector<std::string> read_index(const Hdf5File& file, const std::string& frame) {
  if (file.node(frame) == Hdf5File::Node::dataset)
    file.fail(frame, "was written by an anndata before 0.7; read and write the file with a later one");
  std::string name = file.text_attribute(frame, "_index");
  if (name.empty()) name = "_index";
  const std::string place = frame + "/" + name;
  if (!file.has(place)) file.fail(frame, "has no index of names; is the file whole?");
  const CellTexts index = read_column(file, frame, name);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < std::ssize(index.codes); ++i) names.emplace_back(index.text(i));
  return names;
}

}  // namespace ae::data
