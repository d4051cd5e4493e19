#include "data/images/image_files.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kExtensions{".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"};
constexpr const char* kKinds = "PNG, JPEG, BMP or TIFF";
constexpr std::uint64_t kMostListBytes = 1ull << 28;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

void sort_by_id(std::vector<ImageFile>& files) {
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

// Every visible file below a folder.
std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error); entry != fs::recursive_directory_iterator();
       entry.increment(error)) {
    if (error) break;
    if (hidden(entry->path())) {
      std::error_code ignored;
      if (entry->is_directory(ignored)) entry.disable_recursion_pending();
      continue;
    }
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) files.push_back(entry->path());
  }
  if (error) throw_file_error(folder, FileKind::data, "read the folder", error.value());
  return files;
}

// "7 .gif, 2 .txt": what a folder without images holds instead.
std::string inventory(const std::vector<fs::path>& files) {
  std::map<std::string, int> counts;
  for (const auto& file : files) ++counts[file.has_extension() ? lower_extension(file) : "without extension"];
  std::vector<std::string> items;
  for (const auto& [extension, count] : counts) items.push_back(std::to_string(count) + " " + printable(extension));
  return items.empty() ? "no files" : ae::join(items, ", ", 5);
}

InputError no_images(const fs::path& file) {
  const std::string expected = std::string("a folder, a ") + kKinds + " image, a .txt list of images, IDX, NPY or NPZ";
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored)) {
    const std::string head = read_head(*ByteSource::open(file));
    if (const FileType* type = recognise(head)) return wrong_kind(file.string(), *type, "images", expected);
  }
  return InputError(file.string() + ": found a file " +
                    (file.has_extension() ? "named " + ae::quoted(file.extension().string()) : "without extension") +
                    ", expected " + expected);
}

std::vector<ImageFile> images_below(const fs::path& folder, const fs::path& root) {
  const auto files = files_below(folder);
  std::vector<ImageFile> images;
  for (const auto& file : files) {
    if (has_image_extension(file)) images.push_back({file, file.lexically_relative(root).generic_string(), ""});
  }
  if (images.empty()) {
    throw InputError(folder.string() + ": no images; found " + inventory(files) + ", expected " + kKinds + " files");
  }
  sort_by_id(images);
  return images;
}

bool is_mvtec_root(const fs::path& folder) {
  std::error_code ignored;
  return fs::is_directory(folder / "train" / "good", ignored);
}

std::string first_folder_below(const std::string& id, std::string_view prefix) {
  const std::size_t begin = prefix.size();
  const std::size_t slash = id.find('/', begin);
  return slash == std::string::npos ? "" : id.substr(begin, slash - begin);
}

std::vector<ImageFile> list_folder(const fs::path& folder, Purpose purpose) {
  if (is_mvtec_root(folder)) {
    const bool training = purpose == Purpose::training;
    auto images = images_below(folder / (training ? "train/good" : "test"), folder);
    for (auto& image : images) image.label = first_folder_below(image.id, training ? "train/" : "test/");
    return images;
  }
  auto images = images_below(folder, folder);
  const fs::path absolute = fs::absolute(folder).lexically_normal();
  const fs::path named = absolute.has_filename() ? absolute : absolute.parent_path();
  if (named.filename() == "test" && is_mvtec_root(named.parent_path())) {
    for (auto& image : images) image.label = first_folder_below(image.id, "");
  }
  return images;
}

// --- patterns --------------------------------------------------------------------------------------------------------

using Parts = std::vector<std::string>;

bool matches(const Parts& pattern, std::size_t p, const Parts& name, std::size_t n) {
  if (p == pattern.size()) return n == name.size();
  if (pattern[p] == "**") {
    for (std::size_t skip = n; skip <= name.size(); ++skip) {
      if (matches(pattern, p + 1, name, skip)) return true;
    }
    return false;
  }
  return n < name.size() && wildcard_match(pattern[p], name[n]) && matches(pattern, p + 1, name, n + 1);
}

Parts parts_of(const fs::path& path) {
  Parts parts;
  for (const auto& part : path) parts.push_back(part.string());
  return parts;
}

std::vector<ImageFile> list_pattern(const fs::path& pattern) {
  fs::path folder;
  Parts rest;
  for (const auto& part : pattern) {
    if (rest.empty() && !has_wildcard(part.string())) {
      folder /= part;
    } else {
      rest.push_back(part.string());
    }
  }
  if (folder.empty()) folder = ".";
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw InputError(pattern.string() + ": there is no folder " + ae::quoted(folder.string()));
  }
  std::vector<ImageFile> images;
  std::vector<fs::path> others;
  for (const auto& file : files_below(folder)) {
    const auto relative = file.lexically_relative(folder);
    if (!matches(rest, 0, parts_of(relative), 0)) continue;
    if (has_image_extension(file)) {
      images.push_back({file, relative.generic_string(), ""});
    } else {
      others.push_back(file);
    }
  }
  if (images.empty()) {
    throw InputError(pattern.string() + ": no image matches this pattern; it matches " + inventory(others));
  }
  sort_by_id(images);
  return images;
}

}  // namespace

bool has_image_extension(const fs::path& path) {
  return std::find(kExtensions.begin(), kExtensions.end(), lower_extension(path)) != kExtensions.end();
}

std::vector<ImageFile> parse_image_list(std::string_view text, const std::string& name, const fs::path& folder) {
  std::vector<ImageFile> images;
  std::map<std::string, std::size_t> seen;
  std::size_t line = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view written = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
    while (!written.empty() && (written.back() == '\r' || written.back() == ' ' || written.back() == '\t')) {
      written.remove_suffix(1);
    }
    if (written.empty() || written.front() == '#') continue;
    const std::string place = name + ":" + std::to_string(line) + ": ";
    if (written.find('\0') != std::string_view::npos) throw InputError(place + "a NUL byte; expected a file name");
    const fs::path path{written};
    if (!has_image_extension(path)) {
      throw InputError(place + "found " + ae::quoted(written) + ", expected the name of a " + kKinds + " file");
    }
    std::string id(written);
    if (const auto [earlier, is_new] = seen.emplace(id, line); !is_new) {
      throw InputError(place + ae::quoted(written) + " is listed already in line " + std::to_string(earlier->second));
    }
    images.push_back({path.is_absolute() ? path : folder / path, std::move(id), ""});
  }
  if (images.empty()) throw InputError(name + ": the list names no image; expected one path a line");
  sort_by_id(images);
  return images;
}

std::vector<ImageFile> list_image_files(const fs::path& path, Purpose purpose) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (fs::is_directory(status)) return list_folder(path, purpose);
  if (!fs::exists(status) && has_wildcard(path.string())) return list_pattern(path);
  if (!fs::exists(status)) throw_file_error(path, FileKind::data, "open", ENOENT);
  if (has_image_extension(path)) return {{path, path.filename().string(), ""}};
  if (lower_extension(path) == ".txt") {
    return parse_image_list(read_file(path, FileKind::data, kMostListBytes), path.string(), path.parent_path());
  }
  throw no_images(path);
}

}  // namespace ae::data
