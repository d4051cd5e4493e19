#include "data/bytes/cache_file.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <type_traits>

#include "base/error.hpp"
#include "base/forwarding_reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "config/document.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;
using Json = CacheFile::Json;

constexpr std::array<char, 8> kCacheMagic{'a', 'e', 'c', 'a', 'c', 'h', 'e', '\n'};
constexpr std::uint32_t kVersion = 2;
constexpr std::uint64_t kHeaderBytes = 256;
constexpr std::uint64_t kAlignment = 64;  // a multiple of what any array is aligned to
constexpr std::size_t kWrittenAtOnce = std::size_t{1} << 20;
constexpr std::size_t kHashedAtOnce = std::size_t{1} << 24;
static_assert(std::endian::native == std::endian::little, "the sections are mapped as they are");

using Sizes = std::array<std::uint64_t, CacheFile::kMostSections + 1>;  // of the sections and of the description
using Sums = std::array<std::string, CacheFile::kMostSections + 1>;     // SHA-256 of each, "" of those there are not

struct CacheHeader {
  std::array<char, 8> magic = kCacheMagic;
  std::uint32_t version = kVersion;
  std::uint32_t sections = 0;  // with the description
  std::array<char, 64> key{};
  Sizes sizes{};
  std::array<char, 64> checksum{};  // of the header with zeros here, and of each section's own
};
static_assert(sizeof(CacheHeader) <= kHeaderBytes && std::is_trivially_copyable_v<CacheHeader>);

std::uint64_t aligned(std::uint64_t at) { return (at + kAlignment - 1) / kAlignment * kAlignment; }

std::array<char, 64> checksum_of(CacheHeader header, const Sums& sums) {
  header.checksum = {};
  Sha256 hash;
  hash.update({reinterpret_cast<const char*>(&header), sizeof header});
  for (const auto& sum : sums) hash.update(sum);
  std::array<char, 64> checksum{};
  const std::string hex = hash.hex();
  std::copy(hex.begin(), hex.end(), checksum.begin());
  return checksum;
}

// What is said while data are read is said again when they come from the cache.
class Recorder final : public ForwardingReporter {
 public:
  using ForwardingReporter::ForwardingReporter;
  void info(std::string_view line) override {
    said_.push_back({{"info", line}});
    ForwardingReporter::info(line);
  }
  void warning(std::string_view line) override {
    said_.push_back({{"warning", line}});
    ForwardingReporter::warning(line);
  }
  const Json& said() const { return said_; }

 private:
  Json said_ = Json::array();
};

class SectionWriter final : public CacheFile::Writer {
 public:
  SectionWriter(const fs::path& path, const std::string& key, std::size_t sections)
      : output_(Output::open(path, true)), sections_(sections + 1) {
    std::copy(key.begin(), key.end(), header_.key.begin());
    header_.sections = static_cast<std::uint32_t>(sections_.size());
  }

  void set_size(std::size_t section, std::uint64_t bytes) override { sections_.at(section).size = bytes; }

  void add(std::size_t section, const void* bytes, std::size_t size) override {
    auto& pending = sections_.at(section);
    pending.bytes.append(static_cast<const char*>(bytes), size);
    if (pending.bytes.size() >= kWrittenAtOnce) flush(section);
  }

  void commit(const std::string& description) {
    add(sections_.size() - 1, description.data(), description.size());
    Sums sums;
    for (std::size_t s = 0; s < sections_.size(); ++s) {
      flush(s);
      if (sections_[s].size.value_or(sections_[s].written) != sections_[s].written) throw_misused();
      header_.sizes[s] = sections_[s].written;
      sums[s] = sections_[s].hash.hex();
    }
    header_.checksum = checksum_of(header_, sums);
    output_.write_at(0, {reinterpret_cast<const char*>(&header_), sizeof header_});
    output_.commit();
  }

 private:
  struct Pending {
    std::string bytes;
    std::optional<std::uint64_t> size;   // when it is known
    std::optional<std::uint64_t> begin;  // from the first bytes written on
    std::uint64_t written = 0;
    Sha256 hash;
  };

  [[noreturn]] static void throw_misused() {
    throw std::logic_error("a cache's section is not of the size it was given");
  }

  std::uint64_t begin_of(std::size_t section) {
    auto& pending = sections_[section];
    if (!pending.begin) {
      std::uint64_t begin = kHeaderBytes;
      if (section > 0) {
        if (!sections_[section - 1].size) {
          flush(section - 1);
          sections_[section - 1].size = sections_[section - 1].written;
        }
        begin = aligned(begin_of(section - 1) + *sections_[section - 1].size);
      }
      pending.begin = begin;
    }
    return *pending.begin;
  }

  void flush(std::size_t section) {
    auto& pending = sections_[section];
    const std::uint64_t begin = begin_of(section);
    if (pending.size && pending.written + pending.bytes.size() > *pending.size) throw_misused();
    pending.hash.update(pending.bytes);
    output_.write_at(begin + pending.written, pending.bytes);
    pending.written += pending.bytes.size();
    pending.bytes.clear();
  }

  Output output_;
  CacheHeader header_;
  std::vector<Pending> sections_;
};

}  // namespace

void CacheFile::throw_unfit() const {
  throw RunError(path_.string() + ": its sections do not fit together; delete it, it will be made again");
}

// Null and what is wrong with it, or null and "" when there is none.
std::shared_ptr<const CacheFile> CacheFile::read(const fs::path& path, const std::string& key, std::size_t sections,
                                                 Reporter& reporter, std::string& damage) {
  damage.clear();
  const auto refuse = [&](std::string why) {
    damage = std::move(why);
    return nullptr;
  };
  const auto mapped = MappedFile::open(path);
  if (!mapped) return nullptr;
  const std::string_view bytes = mapped->bytes();
  CacheHeader header;
  if (bytes.size() < kHeaderBytes) return refuse("it is cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kCacheMagic || header.version != kVersion) return refuse("it is not a cache of this version");
  if (std::string_view(header.key.data(), header.key.size()) != key || header.sections != sections + 1) {
    return refuse("it belongs to other data");
  }
  const auto is_padding = [](std::string_view gap) { return gap.find_first_not_of('\0') == std::string_view::npos; };
  if (!is_padding(bytes.substr(sizeof header, kHeaderBytes - sizeof header))) {
    return refuse("there are bytes between its sections");
  }
  const auto wrong_size = "its size is not what its header says";
  std::vector<std::string_view> found;
  std::uint64_t end = kHeaderBytes;
  for (std::size_t s = 0; s <= sections; ++s) {
    const std::uint64_t begin = aligned(end);
    if (begin > bytes.size() || header.sizes[s] > bytes.size() - begin) return refuse(wrong_size);
    if (!is_padding(bytes.substr(end, begin - end))) return refuse("there are bytes between its sections");
    found.push_back(bytes.substr(begin, header.sizes[s]));
    end = begin + header.sizes[s];
  }
  if (end != bytes.size()) return refuse(wrong_size);
  Sums sums;
  for (std::size_t s = 0; s <= sections; ++s) {
    Sha256 hash;
    for (std::size_t at = 0; at < found[s].size(); at += kHashedAtOnce) {
      throw_if_stopped("checking the cache");
      hash.update(found[s].substr(at, kHashedAtOnce));
      reporter.progress("bytes", static_cast<std::uint64_t>(found[s].data() - bytes.data()) + at, bytes.size());
    }
    sums[s] = hash.hex();
  }
  reporter.progress_done();
  if (checksum_of(header, sums) != header.checksum) return refuse("its checksum does not match");

  const auto json = Json::parse(found.back());
  for (const auto& line : json.at("said")) {
    for (const auto& [kind, text] : line.items()) {
      kind == "warning" ? reporter.warning(text.get<std::string>()) : reporter.info(text.get<std::string>());
    }
  }
  found.pop_back();
  const std::shared_ptr<CacheFile> file(new CacheFile);
  file->path_ = path;
  file->file_ = mapped;
  file->sections_ = std::move(found);
  file->description_ = json.at("description");
  return file;
}

std::shared_ptr<const CacheFile> CacheFile::open(const fs::path& folder, const std::string& key, std::size_t sections,
                                                 Reporter& reporter, const Make& make) {
  if (sections > kMostSections) throw std::logic_error("too many sections for a cache");
  const fs::path path = folder / (key + ".aecache");
  std::string damage;
  if (auto file = read(path, key, sections, reporter, damage)) return file;
  if (!damage.empty()) reporter.warning(path.string() + ": damaged: " + damage + "; it is made again");
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw RunError(folder.string() + ": cannot create the folder: " + error.message());
  Recorder recorder(reporter);
  {
    SectionWriter writer(path, key, sections);
    Json all{{"description", make(writer, recorder)}};
    all["said"] = recorder.said();
    writer.commit(all.dump());
  }
  SilentReporter silent;  // all of it was said while reading
  auto file = read(path, key, sections, silent, damage);
  if (!file) throw RunError(path.string() + ": cannot be read back: " + (damage.empty() ? "it is gone" : damage));
  return file;
}

std::string cache_key(std::string_view kind, DataOptions& meaning, const fs::path& path, HoldOut hold_out,
                      std::string_view content) {
  return sha256_of("aetools " + std::string(kind) + " cache " + std::to_string(kVersion) + '\n' + path.string() + '\n' +
                   config::to_json(meaning, config::Paths::as_written) + '\n' + number_text(hold_out.fraction) + '\n' +
                   std::to_string(hold_out.seed) + '\n' + std::string(content));
}

Unchanged::Unchanged(std::vector<fs::path> files) : files_(std::move(files)) {
  for (const auto& file : files_) stamps_.push_back(stamp_of(file));
}

void Unchanged::check() const {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (stamp_of(files_[i]) == stamps_[i]) continue;
    throw InputError(files_[i].string() + ": changed while it was being read; start again");
  }
}

Unchanged::Stamp Unchanged::stamp_of(const fs::path& path) {
  std::error_code ignored;
  return {fs::file_size(path, ignored), fs::last_write_time(path, ignored)};
}

}  // namespace ae::data
