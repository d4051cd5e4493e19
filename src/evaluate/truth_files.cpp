#include "evaluate/truth_files.hpp"

#include <algorithm>

namespace ae::evaluate {
namespace {

std::string without_extension(std::string_view id) {
  const auto folder_end = id.rfind('/');
  const auto dot = id.rfind('.');
  const bool has_extension =
      dot != std::string_view::npos && dot > (folder_end == std::string_view::npos ? 0 : folder_end + 1);
  return std::string(has_extension ? id.substr(0, dot) : id);
}

// The names an image may go by, most specific first.
std::vector<std::string> names_of(std::string_view id, bool last_part_alone) {
  const std::string whole = without_extension(plain_id(id));
  std::vector<std::string> names = {whole};
  const auto add = [&](std::size_t begin) {
    const std::string name = whole.substr(begin);
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  const auto first = whole.find('/');
  if (first == std::string::npos) return names;
  const auto last = whole.rfind('/');
  if (last != first) {
    add(first + 1);
    add(whole.rfind('/', last - 1) + 1);
  }
  if (last_part_alone) add(last + 1);
  return names;
}

std::optional<std::filesystem::path> first_that_exists(const std::filesystem::path& folder,
                                                       const std::vector<std::string>& names,
                                                       std::initializer_list<std::string_view> endings) {
  for (const auto& name : names) {
    for (const auto ending : endings) {
      auto path = folder / (name + std::string(ending));
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) return path;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view plain_id(std::string_view id) {
  while (id.starts_with("./")) id.remove_prefix(2);
  while (id.starts_with('/')) id.remove_prefix(1);
  return id;
}

std::filesystem::path map_file(const std::filesystem::path& maps, std::string_view id) {
  return maps / (without_extension(plain_id(id)) + ".npy");
}

std::optional<std::filesystem::path> find_mask_file(const std::filesystem::path& truth, std::string_view id) {
  return first_that_exists(truth, names_of(id, false), {"_mask.png", ".png", "_mask.npy", ".npy"});
}

std::optional<std::filesystem::path> find_box_file(const std::filesystem::path& boxes, std::string_view id) {
  return first_that_exists(boxes, names_of(id, true), {".csv"});
}

}  // namespace ae::evaluate
