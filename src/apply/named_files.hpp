// Files of a folder that are named after images.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
// The files that a run reads, over which it does not write, with --force either.
class InputFiles {
 public:
  explicit InputFiles(std::vector<std::filesystem::path> files) : files_(std::move(files)) {}
  // UsageError when `file`, which is to be written as `option` was given `given`, is one of them.
  void require_apart(std::string_view option, const std::filesystem::path& given, const std::filesystem::path& file);

 private:
  std::vector<std::filesystem::path> files_;
  std::set<std::filesystem::path> whole_;  // by whole_path(), once something that is to be written is there already
};

// UsageError when there is something other than an empty folder, unless `overwrite`.
void check_empty_folder(const std::filesystem::path& folder, bool overwrite);
// The folders on the way are made.
void save_file(const std::filesystem::path& path, bool overwrite, std::string_view bytes);

}  // namespace ae::apply
