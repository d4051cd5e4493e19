#include "data/images/folders.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kExtensions{".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"};

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

// What file managers leave behind.
bool is_litter(const fs::path& path) {
  const std::string name = lower_case(path.filename().string());
  return name == "thumbs.db" || name == "desktop.ini";
}

// Folders first by their own names, then those behind links, which may lead to folders that were entered, or back up.
class Walk {
 public:
  using Enter = std::function<bool(const fs::path&)>;
  Walk(const fs::path& folder, Enter enter) : enter_(std::move(enter)) {
    pending_.push_back(folder);
    for (std::size_t next = 0; next < pending_.size(); ++next) {
      const fs::path begin = pending_[next];
      walk(begin);
      std::sort(pending_.begin() + static_cast<std::ptrdiff_t>(next) + 1, pending_.end());
    }
    std::sort(files.begin(), files.end());
  }
  std::vector<fs::path> files;

 private:
  void walk(const fs::path& folder) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (!error && !entered_.insert(real).second) return;
    std::vector<fs::path> below;
    for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
      if (hidden(entry->path())) continue;
      std::error_code ignored;
      const bool link = entry->is_symlink(ignored);
      if (entry->is_directory(ignored)) {
        if (enter_(entry->path())) (link ? pending_ : below).push_back(entry->path());
      } else if (entry->is_regular_file(ignored) || (link && !entry->exists(ignored))) {
        files.push_back(entry->path());
      }
    }
    if (error) throw_file_error(folder, FileKind::data, "read the folder", error.value());
    for (const auto& one : below) walk(one);
  }

  Enter enter_;
  std::vector<fs::path> pending_;  // behind links
  std::set<fs::path> entered_;
};

using Words = std::vector<std::string>;

Words words_of(std::string_view name) {
  Words words(1);
  for (const char c : lower_case(name)) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool any_of(const Words& words, std::span<const std::string_view> wanted) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  });
}

constexpr std::string_view kGood[]{"good",   "ok",   "okay",   "normal",  "normals", "healthy",   "pass",
                                   "passed", "fine", "intact", "perfect", "free",    "defectfree"};
constexpr std::string_view kDefective[]{
    "bad",       "ko",      "ng",        "nok",       "def",      "defect", "defects",      "defective",
    "defected",  "anomaly", "anomalies", "anomalous", "abnormal", "broken", "fail",         "failed",
    "faulty",    "fault",   "reject",    "rejected",  "damaged",  "scrap",  "notok",        "scratch",
    "scratches", "crack",   "cracks",    "cracked",   "dent",     "hole",   "contamination"};
constexpr std::string_view kNot[]{"no", "not", "non", "without"};
constexpr std::string_view kFree[]{"free"};

}  // namespace

bool has_image_extension(const fs::path& path) {
  return std::find(kExtensions.begin(), kExtensions.end(), lower_extension(path)) != kExtensions.end();
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

std::string lower_extension(const fs::path& path) { return lower_case(path.extension().string()); }

std::string id_below(const fs::path& path, const fs::path& root) {
  return path.lexically_relative(root).generic_string();
}

std::string without_extension(std::string_view id) {
  const auto slash = id.rfind('/');
  const auto name = slash == std::string_view::npos ? 0 : slash + 1;
  const auto dot = id.rfind('.');
  return std::string(dot != std::string_view::npos && dot > name ? id.substr(0, dot) : id);
}

std::string first_part(std::string_view id) {
  const std::size_t slash = id.find('/');
  return std::string(slash == std::string_view::npos ? "" : id.substr(0, slash));
}

namespace {

void move_masks_beside(FolderContent& content) {
  std::set<std::string> stems;
  for (const auto& image : content.images) stems.insert(lower_case(without_extension(image.string())));
  std::erase_if(content.images, [&](const fs::path& image) {
    const auto stem = lower_case(without_extension(image.string()));
    for (const auto ending : kMaskEndings) {
      if (!stem.ends_with(ending) || !stems.contains(stem.substr(0, stem.size() - ending.size()))) continue;
      content.masks.push_back(image);
      return true;
    }
    return false;
  });
}

}  // namespace

FolderContent content_below(const fs::path& folder, bool enter_masks) {
  FolderContent content;
  Walk walk(folder, [&](const fs::path& below) {
    if (enter_masks || meaning_of_folder(below.filename().string()) != FolderMeaning::masks) return true;
    content.masks.push_back(below);
    return false;
  });
  for (auto& file : walk.files) {
    if (!is_litter(file)) (has_image_extension(file) ? content.images : content.others).push_back(std::move(file));
  }
  if (!enter_masks) move_masks_beside(content);
  return content;
}

std::string masks_line(const FolderContent& content, const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& masks : content.masks) names.push_back(ae::quoted(id_below(masks, root)));
  if (names.empty()) return {};
  return ae::join(names, ", ", 5) + (names.size() == 1 ? " is" : " are") + " taken for masks and left out";
}

bool may_hold_an_image(const fs::path& file) {
  if (lower_extension(file) == ".svg") return true;
  try {
    const std::string head = read_head(*ByteSource::open(file));
    return std::any_of(head.begin(), head.end(), [](unsigned char c) { return c < 32 && !std::isspace(c); });
  } catch (const Error&) {
    return true;
  }
}

std::vector<fs::path> mask_files_below(const fs::path& folder) {
  auto files = Walk(folder, [](const fs::path&) { return true; }).files;
  std::erase_if(files,
                [](const fs::path& file) { return !has_image_extension(file) && lower_extension(file) != ".npy"; });
  return files;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    if (!hidden(entry->path()) && entry->is_directory(ignored)) folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

bool has_images_right_below(const fs::path& folder) {
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code ignored;
    if (!hidden(entry->path()) && has_image_extension(entry->path()) && !entry->is_directory(ignored)) return true;
  }
  return false;
}

fs::path child(const fs::path& folder, std::span<const std::string_view> names) {
  const auto folders = folders_in(folder);
  for (const auto name : names) {
    for (const auto& below : folders) {
      if (lower_case(below.filename().string()) == name) return below;
    }
  }
  return {};
}

FolderMeaning meaning_of_folder(std::string_view name) {
  const Words words = words_of(name);
  std::string joined;
  for (const auto& word : words) joined += word;
  if (std::ranges::find(kMaskFolders, joined) != std::end(kMaskFolders)) return FolderMeaning::masks;
  const bool negated = any_of(words, kNot);
  if (any_of(words, kDefective)) {
    return negated || any_of(words, kFree) ? FolderMeaning::good : FolderMeaning::defective;
  }
  if (any_of(words, kGood)) return negated ? FolderMeaning::defective : FolderMeaning::good;
  return FolderMeaning::unknown;
}

bool are_numbered(std::span<const std::string> names) {
  const auto stem = [](const std::string& name) {
    std::string all;
    for (auto word : words_of(name)) {
      std::erase_if(word, [](unsigned char c) { return std::isdigit(c); });
      if (word.size() > 1) all += word + ' ';
    }
    return all;
  };
  return std::all_of(names.begin(), names.end(), [&](const auto& name) { return stem(name) == stem(names.front()); });
}

}  // namespace ae::data
