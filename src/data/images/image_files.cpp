#include "data/images/image_files.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"
#include "data/images/folders.hpp"
#include "data/images/layouts.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostListBytes = 1ull << 28;

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

void sort_by_id(std::vector<ImageFile>& files) {
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
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
  const std::string expected =
      "a folder, a " + std::string(kImageKinds) + " image, a .txt list of images, IDX, NPY or NPZ";
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored)) {
    const std::string head = read_head(*ByteSource::open(file));
    if (const FileType* type = recognise(head)) return wrong_kind(file.string(), *type, "images", expected);
  }
  return InputError(file.string() + ": found a file " +
                    (file.has_extension() ? "named " + ae::quoted(file.extension().string()) : "without extension") +
                    ", expected " + expected);
}

ImageListing listing_of(const FolderContent& content, const fs::path& root) {
  ImageListing listing;
  for (const auto& image : content.images) listing.files.push_back({image, id_below(image, root), "", {}});
  listing.notes.add(content.others, root);
  return listing;
}

// --- folders ---------------------------------------------------------------------------------------------------------

constexpr std::size_t kNamesInALine = 5;

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

template <typename Names>
std::string names_text(const Names& names) {
  std::vector<std::string> shown;
  for (const auto& name : names) shown.push_back(ae::quoted(name));
  return ae::join(shown, ", ", kNamesInALine);
}

// Data sets of their own in the folders of one: their masks, and defective and good images, would be mixed.
void refuse_data_sets_below(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& below : folders_in(folder)) {
    const Layout* layout = layout_of(below);
    if (layout != nullptr && layout->divided) names.insert(below.filename().string());
  }
  if (names.empty()) return;
  throw InputError(folder.string() + ": holds " + counted(names.size(), "data set", "data sets") +
                   " with parts of their own, " + names_text(names) +
                   "; give one of them: " + (folder / *names.begin()).string());
}

// a.jpg and a.png: the one may be the mask of the other, or its copy.
void refuse_twins(const fs::path& folder, const ImageListing& listing, const std::string& taken) {
  std::map<std::string, std::string> by_stem;
  for (const auto& file : listing.files) {
    const auto [other, is_new] = by_stem.emplace(lower_case(without_extension(file.id)), file.id);
    if (!is_new)
      throw InputError(folder.string() + ": holds " + ae::quoted(other->second) + " and " + ae::quoted(file.id) +
                       ", of which one may be the other's mask" + taken +
                       "; give a pattern of the images alone, by their ending: " +
                       ae::quoted((folder / ("**/*" + fs::path(other->second).extension().string())).string(), 200) +
                       " or " + ae::quoted((folder / ("**/*" + fs::path(file.id).extension().string())).string(), 200));
  }
}

// What is learned as good must be good: a folder whose names tell otherwise, or leave it open, is not guessed about.
void refuse_unless_good(const fs::path& folder, const FolderContent& content, const ImageListing& listing) {
  const std::string taken = ", and training takes what it is given for good",
                    give = "; give the folder of the good ones";
  const std::string fix = give + ", name it in /data/normal, or give " + ae::quoted((folder / "**").string(), 200) +
                          " when all of them are good";
  if (!content.masks.empty()) {
    throw InputError(folder.string() + ": holds masks of defects, in " +
                     ae::quoted(id_below(content.masks.front(), folder)) + taken + give);
  }
  refuse_twins(folder, listing, taken);
  std::set<std::string> defective, first;
  bool loose = false;
  for (const auto& file : listing.files) {
    for (const auto& part : fs::path(file.id).parent_path()) {
      if (meaning_of_folder(part.string()) == FolderMeaning::defective) defective.insert(part.string());
    }
    const std::string part = first_part(file.id);
    loose = loose || part.empty();
    if (!part.empty()) first.insert(part);
  }
  if (!defective.empty()) {
    throw InputError(folder.string() + ": holds images of defects, in " + names_text(defective) + taken + fix);
  }
  const std::vector<std::string> names(first.begin(), first.end());
  if (!loose && names.size() > 1 && !are_numbered(names)) {
    throw InputError(folder.string() + ": has a folder for each of " + names_text(first) +
                     ", and none is named as good (good, ok, normal)" + fix);
  }
}

ImageListing list_plain_folder(const fs::path& folder, Purpose purpose) {
  refuse_data_sets_below(folder);
  const auto content = content_below(folder);
  auto listing = listing_of(content, folder);
  if (listing.files.empty()) {
    const std::string expected = std::string(kImageKinds) + " files";
    std::vector<std::string> names;
    for (const auto& file : content.others) names.push_back(file.filename().string());
    if (const FileType* type = recognise_folder(names)) throw wrong_kind(folder.string(), *type, "images", expected);
    throw InputError(folder.string() + ": no images; found " + inventory(content.others) + ", expected " + expected);
  }
  if (purpose == Purpose::training) refuse_unless_good(folder, content, listing);
  if (const auto line = masks_line(content, folder); !line.empty()) listing.notes.lines.push_back(line);
  return listing;
}

ImageListing list_folder(const fs::path& folder, Purpose purpose, std::span<const std::string> normal) {
  const auto tell = [&](ImageListing listing, std::string_view what) {
    for (auto& line : listing.notes.lines) {
      line = folder.string() + ": " + (what.empty() ? "" : std::string(what) + "; ") + line;
    }
    return listing;
  };
  if (purpose == Purpose::classes) return tell(list_class_folders(folder), "");
  if (is_test_part(folder)) return tell(list_test_part(folder, purpose, normal), "");
  if (const Layout* layout = layout_of(folder)) return tell(layout->list(folder, purpose, normal), layout->name);
  if (has_classes(folder, normal)) return tell(list_classes(folder, purpose, normal), "");
  return tell(list_plain_folder(folder, purpose), "");
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

ImageListing list_pattern(const fs::path& pattern) {
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
  FolderContent content = content_below(folder, true);
  for (auto* files : {&content.images, &content.others}) {
    std::erase_if(*files,
                  [&](const auto& file) { return !matches(rest, 0, parts_of(file.lexically_relative(folder)), 0); });
  }
  if (content.images.empty()) {
    throw InputError(pattern.string() + ": no image matches this pattern; it matches " + inventory(content.others));
  }
  return listing_of(content, folder);
}

}  // namespace

void ImageNotes::tell_lines(Reporter& reporter) const {
  for (const auto& line : lines) reporter.info(line);
}

void ImageNotes::tell_left_out(Reporter& reporter) const {
  if (!unknown.empty()) {
    reporter.warning(counted(unknown.size(), "file is", "files are") + " not looked at: " + names_text(unknown) +
                     "; images are " + std::string(kImageKinds) + " files");
  }
  if (!texts.empty()) {
    reporter.info(counted(texts.size(), "text file is", "text files are") + " left out: " + names_text(texts));
  }
}

void ImageNotes::add(std::span<const fs::path> others, const fs::path& root) {
  for (const auto& file : others) (may_hold_an_image(file) ? unknown : texts).push_back(id_below(file, root));
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
      throw InputError(place + "found " + ae::quoted(written) + ", expected the name of a " + std::string(kImageKinds) +
                       " file");
    }
    std::string id(written);
    if (const auto [earlier, is_new] = seen.emplace(id, line); !is_new) {
      throw InputError(place + ae::quoted(written) + " is listed already in line " + std::to_string(earlier->second));
    }
    images.push_back({path.is_absolute() ? path : folder / path, std::move(id), "", {}});
  }
  if (images.empty()) throw InputError(name + ": the list names no image; expected one path a line");
  sort_by_id(images);
  return images;
}

ImageListing list_image_files(const fs::path& path, Purpose purpose, std::span<const std::string> normal) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (fs::is_directory(status)) {
    auto listing = list_folder(path, purpose, normal);
    sort_by_id(listing.files);
    return listing;
  }
  if (!fs::exists(status) && has_wildcard(path.string())) {
    auto listing = list_pattern(path);
    sort_by_id(listing.files);
    return listing;
  }
  if (!fs::exists(status)) throw_file_error(path, FileKind::data, "open", ENOENT);
  if (has_image_extension(path)) return {{{path, path.filename().string(), "", {}}}, {}};
  if (lower_extension(path) == ".txt") {
    return {parse_image_list(read_file(path, FileKind::data, kMostListBytes), path.string(), path.parent_path()), {}};
  }
  throw no_images(path);
}

}  // namespace ae::data
