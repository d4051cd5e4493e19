#include "victim/class_labels.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/idx.hpp"
#include "data/bytes/source.hpp"
#include "evaluate/score_reader.hpp"

namespace ae::victim {

LabelFile::LabelFile(const std::filesystem::path& path, Reporter& reporter) : name_(path.string()) {
  if (path != "-") {
    auto source = data::ByteSource::open(path);
    std::string start(4, '\0');
    start.resize(data::read_fully(*source, start.data(), start.size()));
    if (start.size() == 4 && data::is_idx(start)) {
      const auto array = data::read_idx(*data::with_prefix(start, std::move(source)));
      if (array.shape.size() != 1)
        throw InputError(name_ + ": an IDX file of " + std::to_string(array.shape.size()) +
                         " dimensions, expected labels, which have one");
      for (const auto label : array.bytes) in_order_.push_back(std::to_string(label));
      return;
    }
  }
  evaluate::ScoreReader reader(path, reporter);
  const auto label = reader.require("label", "labels", "");
  const auto id = reader.find("id");
  has_ids_ = id.has_value();
  while (reader.next()) {
    const std::string text(reader.text(label));
    if (!has_ids_)
      in_order_.push_back(text);
    else if (!by_id_.emplace(reader.text(*id), text).second)
      reader.refuse_duplicate(*id);
  }
}

void LabelFile::check_count(std::int64_t images) const {
  if (has_ids_ || std::ssize(in_order_) == images) return;
  throw InputError(name_ + ": holds " + counted(std::ssize(in_order_), "labels") + ", expected one for each of " +
                   counted(images, "images") + ", in their order, or a column \"id\"");
}

std::optional<std::string> LabelFile::of(const std::string& id, std::int64_t number) const {
  if (!has_ids_) return in_order_.at(static_cast<std::size_t>(number));
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t class_of(const std::string& label, const std::vector<std::string>& names, std::int64_t classes,
                      const std::string& where) {
  const auto found = std::ranges::find(names, label);
  if (found != names.end()) return found - names.begin();
  const auto number = parse_number(label);
  const bool is_class =
      number && *number == std::floor(*number) && *number >= 0 && *number < static_cast<double>(classes);
  const auto is_number = [](const std::string& name) { return parse_number(name).has_value(); };
  if (!names.empty() && (!is_class || std::ranges::any_of(names, is_number)))
    throw InputError(where + ": its label " + ae::quoted(label) + " is none of the classes " + ae::join(names) +
                     "; if these are not its names, give them by --classes");
  if (!is_class)
    throw InputError(where + ": its label is " + ae::quoted(label) + ", expected a whole number from 0 to " +
                     std::to_string(classes - 1) + ", its class; give the names of the classes by --classes");
  return static_cast<std::int64_t>(*number);
}

std::string folder_class(const std::string& id, const std::vector<std::string>& names) {
  for (const auto& folder : std::filesystem::path(id).parent_path())
    if (std::ranges::find(names, folder.string()) != names.end()) return folder.string();
  return "";
}

std::string class_name(std::int64_t number, const std::vector<std::string>& names) {
  return names.empty() ? std::to_string(number) : names[static_cast<std::size_t>(number)];
}

}  // namespace ae::victim
