#include "data/images/mask_files.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/counted.hpp"
#include "base/text.hpp"
#include "data/images/folders.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

int rank(const fs::path& file) {
  const auto extension = lower_extension(file);
  return extension == ".png" ? 0 : extension == ".npy" ? 1 : 2;
}

}  // namespace

MaskFolder::MaskFolder(const fs::path& folder) : folder_(folder) {
  auto files = mask_files_below(folder);
  files_ = files.size();
  std::stable_sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return rank(a) < rank(b); });
  for (const auto& file : files) {
    const std::string name = without_extension(id_below(file, folder)), lower = lower_case(name);
    by_name_.emplace(name, file);
    by_lower_name_.emplace(lower, file);
    const auto slash = lower.rfind('/');
    if (slash != std::string::npos) in_folder_[lower.substr(0, slash)].push_back(file);
  }
}

std::vector<fs::path> MaskFolder::find(std::span<const std::string> names) const {
  for (const auto& name : names) {
    for (const bool as_written : {true, false}) {
      if (auto found = find(name, as_written); !found.empty()) return found;
    }
  }
  return {};
}

std::string MaskFolder::left_over(std::span<const std::string> names) const {
  constexpr std::size_t kNamed = 2;
  std::set<std::string, std::less<>> images;
  for (const auto& name : names) images.insert(lower_case(name));
  // As find() takes them, but for the order.
  const auto is_of_an_image = [&](std::string_view mask) {
    if (images.contains(mask)) return true;
    const auto slash = mask.rfind('/');
    const auto folder = mask.substr(0, slash == std::string_view::npos ? 0 : slash);
    if (folder.find('/') != std::string_view::npos && images.contains(folder)) return true;
    return std::ranges::any_of(kMaskEndings, [&](std::string_view ending) {
      return mask.ends_with(ending) && images.contains(mask.substr(0, mask.size() - ending.size()));
    });
  };
  std::vector<std::string> others;
  for (const auto& [name, file] : by_name_)
    if (!is_of_an_image(lower_case(name))) others.push_back(ae::quoted(id_below(file, folder_), 100));
  if (others.empty()) return {};
  return folder_.string() + ": " + counted(others.size(), "mask belongs", "masks belong") +
         " to none of the images: " + ae::join(others, ", ", kNamed) +
         "; name them as their images are, or remove them";
}

std::vector<fs::path> MaskFolder::find(const std::string& name, bool as_written) const {
  const auto& files = as_written ? by_name_ : by_lower_name_;
  const auto found_as = [&](const std::string& whole) { return files.find(as_written ? whole : lower_case(whole)); };
  for (const auto ending : kMaskEndings) {
    if (const auto found = found_as(name + std::string(ending)); found != files.end()) return {found->second};
  }
  if (const auto found = found_as(name); found != files.end()) return {found->second};
  if (as_written || name.find('/') == std::string::npos) return {};
  const auto found = in_folder_.find(lower_case(name));
  return found == in_folder_.end() ? std::vector<fs::path>() : found->second;
}

}  // namespace ae::data
