#include "apply/code_files.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"

namespace ae::apply {
namespace {

// The shortest text that reads back to the same float32.
void append_float(std::string& text, float value) {
  std::array<char, 32> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

class CsvCodes final : public CodeFile {
 public:
  explicit CsvCodes(Output& output) : output_(output) {}
  void begin(const std::vector<std::string>& names, const std::vector<std::string>& texts) override {
    numbers_ = names.size();
    text_ = "id";
    for (const auto* columns : {&names, &texts}) {
      for (const auto& name : *columns) append_csv_field(text_ += ',', name);
    }
    text_ += '\n';
  }
  void add(std::string_view id, std::span<const float> code, std::span<const std::string> texts) override {
    append_csv_field(text_, id);
    for (std::size_t i = 0; i < numbers_; ++i) {
      text_ += ',';
      if (!code.empty()) append_float(text_, code[i]);
    }
    for (const auto& text : texts) append_csv_field(text_ += ',', text);
    text_ += '\n';
    constexpr std::size_t kBuffered = 1 << 20;
    if (text_.size() >= kBuffered) write();
  }
  void flush() override {
    write();
    output_.flush();
  }
  void finish() override { write(); }

 private:
  void write() {
    output_.write(text_);
    text_.clear();
  }

  Output& output_;
  std::size_t numbers_ = 0;
  std::string text_;  // not handed on yet
};

// How many rows there are stands first and is known last; headers are as long for any number of them.
class NpyCodes final : public CodeFile {
 public:
  explicit NpyCodes(Output& output) : output_(output) {
    if (output.is_stdout())
      throw UsageError("an NPY file begins with the number of rows and cannot go to a pipe; name a file with -o");
  }
  void begin(const std::vector<std::string>& names, const std::vector<std::string>&) override {
    columns_ = names.size();
    end_ = header_size_ = header(0).size();
  }
  void add(std::string_view, std::span<const float> code, std::span<const std::string>) override {
    for (std::size_t i = 0; i < columns_; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(code.empty() ? std::numeric_limits<float>::quiet_NaN() : code[i]);
      for (int byte = 0; byte < 4; ++byte) bytes_ += static_cast<char>(bits >> 8 * byte & 0xff);
    }
    ++rows_;
    constexpr std::size_t kBuffered = 1 << 20;
    if (bytes_.size() >= kBuffered) flush();
  }
  void flush() override {
    output_.write_at(end_, bytes_);
    end_ += bytes_.size();
    bytes_.clear();
  }
  void finish() override {
    flush();
    const auto text = header(rows_);
    if (text.size() != header_size_) throw std::logic_error("an NPY header grew");  // it has room for 50 more digits
    output_.write_at(0, text);
  }

 private:
  std::string header(std::int64_t rows) const {
    return data::npy_header(data::NpyFloat::f4, rows, static_cast<std::int64_t>(columns_));
  }

  Output& output_;
  std::size_t columns_ = 0, header_size_ = 0;
  std::int64_t rows_ = 0;
  std::uint64_t end_ = 0;
  std::string bytes_;  // not handed on yet
};

template <typename File>
std::unique_ptr<CodeFile> make(Output& output) {
  return std::make_unique<File>(output);
}

constexpr std::array kFormats{
    CodeFormat{".csv", make<CsvCodes>},
    CodeFormat{".npy", make<NpyCodes>},
};

}  // namespace

std::span<const CodeFormat> code_formats() { return kFormats; }

const CodeFormat& code_format(const std::string& path) {
  if (path == "-") return kFormats.front();
  auto extension = std::filesystem::path(path).extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  std::vector<std::string> known;
  for (const auto& format : kFormats) {
    if (format.extension == extension) return format;
    known.emplace_back(format.extension);
  }
  throw UsageError(path + ": no file of codes has the extension " + ae::quoted(extension) + "; use " +
                   ae::join(known, " or "));
}

}  // namespace ae::apply
