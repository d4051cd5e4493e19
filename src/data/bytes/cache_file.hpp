// Prepared training data in a file of its own, mapped instead of held: sections of bytes under a key.
//
// The file is FOLDER/<key>.aecache; the key is a SHA-256 of everything that decides what is in it. It appears whole or
// not at all and never changes, so that runs at the same time may share or make it.
//
// Layout, little-endian: 256 bytes of header (magic, version, key, bytes of each section, SHA-256 over the header and
// over each section's own); the sections, each at the next multiple of 64; the last of them is a JSON text with the
// description and with what was said while the data were read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.hpp"
#include "base/reporter.hpp"
#include "data/options.hpp"

namespace ae::data {

class CacheFile {
 public:
  using Json = nlohmann::ordered_json;
  static constexpr std::size_t kMostSections = 7;

  // Takes the sections' bytes piece by piece, in constant memory.
  class Writer {
   public:
    virtual ~Writer() = default;
    // Sections lie one behind the other. One that is written while an earlier one still grows needs the sizes of all
    // before it; without a size a section ends when a later one begins.
    virtual void set_size(std::size_t section, std::uint64_t bytes) = 0;
    virtual void add(std::size_t section, const void* bytes, std::size_t size) = 0;
  };
  // Fills all sections and returns the description; what it reports is kept, too.
  using Make = std::function<Json(Writer&, Reporter&)>;

  // The file under `key` in `folder` with so many sections (at most kMostSections); `make` is called when there is
  // none, and, after a warning, when it is damaged. What was reported when it was made is reported now, every time.
  // RunError when the folder cannot be written; nothing is left behind when `make` throws.
  static std::shared_ptr<const CacheFile> open(const std::filesystem::path& folder, const std::string& key,
                                               std::size_t sections, Reporter& reporter, const Make& make);

  std::string_view section(std::size_t s) const { return sections_.at(s); }  // begins at a multiple of 64 bytes
  const Json& description() const { return description_; }
  // As an array of T that never changes while the file is held. RunError unless the section has exactly so many.
  template <typename T>
  const T* array(std::size_t s, std::int64_t count) const {
    if (section(s).size() != static_cast<std::size_t>(count) * sizeof(T)) throw_unfit();
    return reinterpret_cast<const T*>(section(s).data());
  }
  [[noreturn]] void throw_unfit() const;  // the sections do not fit together

 private:
  CacheFile() = default;
  static std::shared_ptr<const CacheFile> read(const std::filesystem::path& path, const std::string& key,
                                               std::size_t sections, Reporter& reporter, std::string& damage);
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<std::string_view> sections_;
  Json description_;
};

// `kind` of data, `meaning`: the options without those that decide nothing; `path`: of the data, which messages name;
// `content`: of everything else that decides what is prepared.
std::string cache_key(std::string_view kind, DataOptions& meaning, const std::filesystem::path& path, HoldOut hold_out,
                      std::string_view content);

// Files that must stay as they are while they are hashed and then read.
class Unchanged {
 public:
  explicit Unchanged(std::vector<std::filesystem::path> files);
  void check() const;  // InputError naming the first one that has changed since

 private:
  struct Stamp {
    std::uintmax_t size = 0;
    std::filesystem::file_time_type written;
    bool operator==(const Stamp&) const = default;
  };
  static Stamp stamp_of(const std::filesystem::path& path);
  std::vector<std::filesystem::path> files_;
  std::vector<Stamp> stamps_;
};

}  // namespace ae::data
