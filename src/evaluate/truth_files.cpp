#include "evaluate/truth_files.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/files.hpp"
#include "base/text.hpp"
#include "data/images/folders.hpp"
#include "data/images/layouts.hpp"

namespace ae::evaluate {
namespace {

namespace fs = std::filesystem;

// The names an image may go by, most specific first.
std::vector<std::string> names_of(std::string_view id, bool last_part_alone) {
  const std::string whole = data::without_extension(plain_id(id));
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

// Calls use(last parts) for a/b/c, b/c and c, until it returns true.
template <typename Use>
void for_last_parts(std::string_view id, Use use) {
  while (!use(id)) {
    const auto slash = id.find('/');
    if (slash == std::string_view::npos) return;
    id.remove_prefix(slash + 1);
  }
}

}  // namespace

std::string_view plain_id(std::string_view id) {
  while (id.starts_with("./")) id.remove_prefix(2);
  while (id.starts_with('/')) id.remove_prefix(1);
  return id;
}

fs::path map_file(const fs::path& maps, std::string_view id) {
  return maps / (data::without_extension(plain_id(id)) + ".npy");
}

TruthFiles::TruthFiles(fs::path truth) : truth_(std::move(truth)) {
  std::error_code error;
  if (!fs::exists(truth_, error)) throw_file_error(truth_, FileKind::data, "open the folder", ENOENT);
  if (!fs::is_directory(truth_, error)) throw InputError(truth_.string() + ": is no folder; expected one of masks");
  if (read_data_set()) return;
  folder_.emplace(truth_);
  count_ = folder_->files();
  if (const auto files = data::mask_files_below(truth_); !files.empty()) {
    example_ = data::id_below(files.front(), truth_);
  }
}

// False when it is none, or classes without masks, which may be folders of masks themselves.
bool TruthFiles::read_data_set() {
  const auto* layout = data::layout_of(truth_);
  if (layout == nullptr) return false;
  auto listing = layout->list(truth_, data::Purpose::scoring, {});
  left_over_ = std::move(listing.notes.masks_left_over);
  for (auto& file : listing.files) {
    count_ += file.masks.size();
    if (example_.empty() && !file.masks.empty()) example_ = data::id_below(file.masks.front(), truth_);
    by_id_.emplace(file.id, std::move(file.masks));
  }
  for (const auto& [id, masks] : by_id_) {
    for_last_parts(id, [&, &masks = masks](std::string_view parts) {
      const auto [place, is_new] = by_last_parts_.emplace(parts, &masks);
      if (!is_new) place->second = nullptr;
      return false;
    });
  }
  if (count_ == 0 && layout->divided)
    throw InputError(
        truth_.string() + ": " + std::string(layout->name) + " without a mask of any of its images; expected them in " +
        "ground_truth/TYPE/NAME_mask.png or the like; or name the folder of masks itself, or leave --truth "
        "out");
  return count_ > 0;
}

std::vector<fs::path> TruthFiles::masks_of(std::string_view id) const {
  if (folder_) return folder_->find(names_of(id, false));
  std::vector<fs::path> found;
  for_last_parts(plain_id(id), [&](std::string_view parts) {
    const auto exact = by_id_.find(parts);
    if (exact != by_id_.end()) found = exact->second;
    return exact != by_id_.end();
  });
  if (!found.empty()) return found;
  const auto last = by_last_parts_.find(plain_id(id));
  return last == by_last_parts_.end() || last->second == nullptr ? found : *last->second;
}

std::string TruthFiles::left_over(std::span<const std::string> ids) const {
  if (!folder_) return left_over_;
  std::vector<std::string> names;
  for (const auto& id : ids) std::ranges::move(names_of(id, false), std::back_inserter(names));
  return folder_->left_over(names);
}

InputError TruthFiles::fits_none(std::string_view id) const {
  return InputError(truth_.string() + ": holds " + std::to_string(count_) +
                    (count_ == 1 ? " mask, " : " masks, such as ") + ae::quoted(example_, 100) +
                    ", but none of a scored image that may be defective, such as " + ae::quoted(id, 100) +
                    "; expected TYPE/NAME_mask.png, NAME.png or the like, or a data set's root");
}

std::optional<fs::path> find_box_file(const fs::path& boxes, std::string_view id) {
  for (const auto& name : names_of(id, true)) {
    auto path = boxes / (name + ".csv");
    std::error_code ignored;
    if (fs::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

}  // namespace ae::evaluate
