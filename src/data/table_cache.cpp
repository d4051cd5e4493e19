#include "data/table_cache.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/reporter.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "config/document.hpp"
#include "data/row_selection.hpp"
#include "data/rows.hpp"
#include "data/table_loading.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::array<char, 8> kMagic{'a', 'e', 'c', 'a', 'c', 'h', 'e', '\n'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 256;  // a multiple of what any array is aligned to
constexpr std::size_t kHashAtOnce = std::size_t{1} << 24;
static_assert(std::endian::native == std::endian::little, "the arrays are mapped as they are");

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t reserved = 0;
  std::array<char, 64> key{};
  std::int64_t elements = 0;
  std::int64_t training = 0;  // rows
  std::int64_t held_out = 0;
  std::int64_t description = 0;     // bytes
  std::array<char, 64> checksum{};  // of the header with zeros here, and of each section's own
};
static_assert(sizeof(Header) <= kHeaderBytes && std::is_trivially_copyable_v<Header>);

enum Section {
  training_values,
  training_observed,
  held_out_values,
  held_out_observed,
  training_numbers,
  held_out_numbers,
  description,
  section_count
};

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};
using Layout = std::array<Extent, section_count>;

// nullopt for counts that no file can have.
std::optional<Layout> layout_of(const Header& header) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  for (const auto count : {header.elements, header.training, header.held_out, header.description})
    if (count < 0 || count > kMost) return std::nullopt;
  if (header.elements > kMost / std::max<std::int64_t>({header.training, header.held_out, 1})) return std::nullopt;
  const auto cells = [&](std::int64_t rows) {
    return static_cast<std::uint64_t>(rows * header.elements) * sizeof(float);
  };
  const auto numbers = [](std::int64_t rows) { return static_cast<std::uint64_t>(rows) * sizeof(std::int64_t); };
  const std::array<std::uint64_t, section_count> sizes{cells(header.training),
                                                       cells(header.training),
                                                       cells(header.held_out),
                                                       cells(header.held_out),
                                                       numbers(header.training),
                                                       numbers(header.held_out),
                                                       static_cast<std::uint64_t>(header.description)};
  Layout layout;
  std::uint64_t end = kHeaderBytes;
  for (std::size_t s = 0; s < section_count; ++s) {
    layout[s] = {end, sizes[s]};
    end = (end + sizes[s] + 63) / 64 * 64;
  }
  return layout;
}

std::uint64_t file_size(const Layout& layout) { return layout.back().begin + layout.back().bytes; }

std::array<char, 64> checksum_of(Header header, const std::array<std::string, section_count>& sections) {
  header.checksum = {};
  Sha256 hash;
  hash.update({reinterpret_cast<const char*>(&header), sizeof header});
  for (const auto& section : sections) hash.update(section);
  std::array<char, 64> checksum{};
  const std::string hex = hash.hex();
  std::copy(hex.begin(), hex.end(), checksum.begin());
  return checksum;
}

// What is said while a table is read is said again when it comes from the cache.
class Recorder final : public Reporter {
 public:
  explicit Recorder(Reporter& to) : to_(to) {}
  void info(std::string_view line) override {
    said_.push_back({{"info", line}});
    to_.info(line);
  }
  void warning(std::string_view line) override {
    said_.push_back({{"warning", line}});
    to_.warning(line);
  }
  void detail(std::string_view line) override { to_.detail(line); }
  void progress(std::string_view unit, std::uint64_t done, std::uint64_t total, std::string_view status) override {
    to_.progress(unit, done, total, status);
  }
  void progress_done() override { to_.progress_done(); }
  const Json& said() const { return said_; }

 private:
  Reporter& to_;
  Json said_ = Json::array();
};

// Writes the sections side by side, each in order.
class Writer final : public RowTaker {
 public:
  Writer(const fs::path& path, const std::string& key) : output_(Output::open(path, true)) {
    std::copy(key.begin(), key.end(), header_.key.begin());
  }

  void begin(const Schema& schema, std::int64_t training, std::int64_t held_out) override {
    schema_ = schema.to_json();
    header_.elements = static_cast<std::int64_t>(schema.features().size());
    header_.training = training;
    header_.held_out = held_out;
    layout_ = layout_of(header_).value();
  }

  void take(const Block& block, std::int64_t row, bool trains) override {
    const auto first = static_cast<std::size_t>(row * block.elements);
    const auto count = static_cast<std::size_t>(block.elements);
    observed_.assign(block.observed.begin() + static_cast<std::ptrdiff_t>(first),
                     block.observed.begin() + static_cast<std::ptrdiff_t>(first + count));
    add(trains ? training_values : held_out_values, block.values.data() + first, count * sizeof(float));
    add(trains ? training_observed : held_out_observed, observed_.data(), count * sizeof(float));
    add(trains ? training_numbers : held_out_numbers, &block.row_numbers[static_cast<std::size_t>(row)],
        sizeof(std::int64_t));
  }

  void commit(const Json& said) {
    const std::string text = Json{{"schema", schema_}, {"said", said}}.dump();
    header_.description = static_cast<std::int64_t>(text.size());
    add(description, text.data(), text.size());
    std::array<std::string, section_count> sums;
    for (std::size_t s = 0; s < section_count; ++s) {
      flush(s);
      sums[s] = sections_[s].hash.hex();
    }
    header_.checksum = checksum_of(header_, sums);
    output_.write_at(0, {reinterpret_cast<const char*>(&header_), sizeof header_});
    output_.commit();
  }

 private:
  struct Pending {
    std::string bytes;
    std::uint64_t written = 0;
    Sha256 hash;
  };

  void add(Section section, const void* bytes, std::size_t size) {
    constexpr std::size_t kAtOnce = std::size_t{1} << 20;
    auto& pending = sections_[section];
    pending.bytes.append(static_cast<const char*>(bytes), size);
    if (pending.bytes.size() >= kAtOnce) flush(section);
  }
  void flush(std::size_t section) {
    auto& pending = sections_[section];
    pending.hash.update(pending.bytes);
    output_.write_at(layout_[section].begin + pending.written, pending.bytes);
    pending.written += pending.bytes.size();
    pending.bytes.clear();
  }

  Output output_;
  Header header_;
  Json schema_;
  Layout layout_;
  std::array<Pending, section_count> sections_;
  std::vector<float> observed_;
};

// The table in `file`, or why it cannot be it.
struct Opened {
  std::optional<CachedTable> table;
  std::string damage;
};

Opened open_file(const std::shared_ptr<const MappedFile>& file, const std::string& key, Reporter& reporter) {
  const std::string_view bytes = file->bytes();
  Header header;
  if (bytes.size() < kHeaderBytes) return {{}, "it is cut short"};
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic || header.version != kVersion) return {{}, "it is not a cache of this version"};
  if (std::string_view(header.key.data(), header.key.size()) != key) return {{}, "it belongs to other data"};
  const auto layout = layout_of(header);
  if (!layout || file_size(*layout) != bytes.size()) return {{}, "its size is not what its header says"};
  const auto is_padding = [](std::string_view gap) { return gap.find_first_not_of('\0') == std::string_view::npos; };
  bool padded = is_padding(bytes.substr(sizeof header, kHeaderBytes - sizeof header));
  for (std::size_t s = 1; s < section_count; ++s) {
    const std::uint64_t end = (*layout)[s - 1].begin + (*layout)[s - 1].bytes;
    padded = padded && is_padding(bytes.substr(end, (*layout)[s].begin - end));
  }
  if (!padded) return {{}, "there are bytes between its sections"};
  std::array<std::string, section_count> sums;
  for (std::size_t s = 0; s < section_count; ++s) {
    const auto section = bytes.substr((*layout)[s].begin, (*layout)[s].bytes);
    Sha256 hash;
    for (std::size_t at = 0; at < section.size(); at += kHashAtOnce) {
      throw_if_stopped("checking the cache");
      hash.update(section.substr(at, kHashAtOnce));
      reporter.progress("bytes", (*layout)[s].begin + at, bytes.size());
    }
    sums[s] = hash.hex();
  }
  reporter.progress_done();
  if (checksum_of(header, sums) != header.checksum) return {{}, "its checksum does not match"};

  const auto place = [&](Section section) { return bytes.data() + (*layout)[section].begin; };
  const auto floats = [&](Section section) { return reinterpret_cast<const float*>(place(section)); };
  const auto numbers = [&](Section section) { return reinterpret_cast<const std::int64_t*>(place(section)); };
  const auto json = Json::parse(bytes.substr((*layout)[description].begin, (*layout)[description].bytes));
  for (const auto& line : json.at("said")) {
    for (const auto& [kind, text] : line.items()) {
      kind == "warning" ? reporter.warning(text.get<std::string>()) : reporter.info(text.get<std::string>());
    }
  }
  CachedTable table;
  table.schema = Schema::from_json(json.at("schema"));
  table.elements = header.elements;
  table.training = {header.training, floats(training_values), floats(training_observed), numbers(training_numbers)};
  table.held_out = {header.held_out, floats(held_out_values), floats(held_out_observed), numbers(held_out_numbers)};
  table.file = file;
  return {std::move(table), ""};
}

// Everything that decides what is in the file.
std::string key_of(const TableOptions& options, const fs::path& path, const std::string& data_sha256,
                   HoldOut hold_out) {
  TableOptions meaning = options;
  meaning.cache = meaning.path = meaning.rows = {};
  std::string text = "aetools table cache " + std::to_string(kVersion) + '\n' + data_sha256 + '\n' + path.string() +
                     '\n' + config::to_json(meaning, config::Paths::as_written) + '\n';
  if (!options.rows.empty()) text += sha256_of_file(file_of(options.rows));
  text += '\n' + number_text(hold_out.fraction) + '\n' + std::to_string(hold_out.seed);
  return sha256_of(text);
}

struct Stamp {
  std::uintmax_t size = 0;
  fs::file_time_type written;
  bool operator==(const Stamp&) const = default;
};
Stamp stamp_of(const fs::path& path) {
  std::error_code ignored;
  return {fs::file_size(path, ignored), fs::last_write_time(path, ignored)};
}

}  // namespace

CachedTable open_cached_table(const TableOptions& options, Reporter& reporter, HoldOut hold_out) {
  const fs::path path = file_of(options.path);
  std::error_code error;
  if (path == "-" || (fs::exists(path, error) && !fs::is_regular_file(path, error) && !fs::is_directory(path, error))) {
    throw UsageError("/data/cache: " + path.string() +
                     " can be read only once; a cache needs a file: save the data first, or set /data/cache to \"\"");
  }
  const fs::path folder = file_of(options.cache);
  const Stamp stamp = stamp_of(path);
  const std::string data_sha256 = sha256_of_file(path);
  const std::string key = key_of(options, path, data_sha256, hold_out);
  const fs::path name = folder / (key + ".aecache");
  const auto look = [&]() -> std::optional<CachedTable> {
    const auto file = MappedFile::open(name);
    if (!file) return std::nullopt;
    auto opened = open_file(file, key, reporter);
    if (!opened.table) reporter.warning(name.string() + ": damaged: " + opened.damage + "; it is made again");
    return std::move(opened.table);
  };
  auto table = look();
  if (!table) {
    fs::create_directories(folder, error);
    if (error) throw RunError(folder.string() + ": cannot create the folder: " + error.message());
    Recorder recorder(reporter);
    {
      const auto source = open_rows(path, options.table_format());
      ScratchFile scratch(folder);
      Writer writer(name, key);
      load_rows(*source, options, recorder, hold_out, &scratch, writer);
      if (stamp_of(path) != stamp) throw InputError(path.string() + ": changed while it was being read; start again");
      writer.commit(recorder.said());
    }
    SilentReporter silent;  // all of it was said while reading
    const auto file = MappedFile::open(name);
    auto opened = file ? open_file(file, key, silent) : Opened{{}, "it is gone"};
    if (!opened.table) throw RunError(name.string() + ": cannot be read back: " + opened.damage);
    table = std::move(opened.table);
  }
  table->data_sha256 = data_sha256;
  return std::move(*table);
}

}  // namespace ae::data
