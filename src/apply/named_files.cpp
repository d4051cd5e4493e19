#include "apply/named_files.hpp"

#include <map>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace ae::apply {

namespace fs = std::filesystem;

fs::path file_stem(const std::string& id) {
  const fs::path relative = fs::path(id).relative_path().lexically_normal();
  if (relative.empty() || *relative.begin() == "..") {
    throw UsageError("image " + ae::quoted(id) +
                     ": its name leads out of the output folder; list images below the list file's folder");
  }
  return relative.parent_path() / relative.stem();
}

void check_stems(const std::vector<NamedImage>& images) {
  std::map<fs::path, std::string> stems;
  for (const auto& [id, label] : images) {
    const auto [other, is_new] = stems.emplace(file_stem(id), id);
    if (!is_new) {
      throw UsageError("images " + ae::quoted(other->second) + " and " + ae::quoted(id) + " would both write " +
                       ae::quoted(other->first.string()) + "; give them in separate runs");
    }
  }
}

void InputFiles::require_apart(std::string_view option, const fs::path& given, const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return;
  if (whole_.empty())
    for (const auto& input : files_) whole_.insert(whole_path(input));
  if (!whole_.contains(whole_path(file))) return;
  const bool named = given == file;
  throw UsageError(std::string(option) + " " + ae::quoted(given.string(), 200) +
                   (named ? "" : ": " + ae::quoted(file.string(), 200)) + " is an input file; choose another " +
                   (named ? "name" : "folder"));
}

void check_empty_folder(const fs::path& folder, bool overwrite) {
  std::error_code ignored;
  if (overwrite || !fs::exists(folder, ignored)) return;
  if (!fs::is_directory(folder, ignored)) throw UsageError(folder.string() + ": is not a folder");
  if (!fs::is_empty(folder, ignored))
    throw UsageError(folder.string() + ": is not empty; use --force to write into it");
}

void save_file(const fs::path& path, bool overwrite, std::string_view bytes) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw RunError(path.parent_path().string() + ": cannot create the folder: " + error.message());
  auto file = Output::open(path, overwrite);
  file.write(bytes);
  file.commit();
}

}  // namespace ae::apply
