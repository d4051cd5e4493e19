// Files of a folder that are named after images.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ae::apply {

struct NamedImage {
  std::string id;
  std::string label;
};

// The id without its extension, or UsageError when that leads out of the folder.
std::filesystem::path file_stem(const std::string& id);
// UsageError when two of these images have one stem.
void check_stems(const std::vector<NamedImage>& images);
// UsageError when there is something other than an empty folder, unless `overwrite`.
void check_empty_folder(const std::filesystem::path& folder, bool overwrite);
// The folders on the way are made.
void save_file(const std::filesystem::path& path, bool overwrite, std::string_view bytes);

}  // namespace ae::apply
