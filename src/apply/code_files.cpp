#include "apply/code_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <optional>

#include "apply/h5ad_codes.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy_writer.hpp"
#include "data/bytes/text_output.hpp"

namespace ae::apply {
namespace {

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
      if (!code.empty()) data::append_float(text_, code[i]);
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

// Of a sample that could not be read NaN.
class NpyCodes final : public CodeFile {
 public:
  explicit NpyCodes(Output& output) : output_(output) {}
  void begin(const std::vector<std::string>& names, const std::vector<std::string>&) override {
    rows_.emplace(output_, std::ssize(names));
    none_.assign(names.size(), std::numeric_limits<float>::quiet_NaN());
  }
  void add(std::string_view, std::span<const float> code, std::span<const std::string>) override {
    rows_->add(code.empty() ? std::span<const float>(none_) : code);
  }
  void flush() override { rows_->flush(); }
  void finish() override { rows_->finish(); }

 private:
  Output& output_;
  std::optional<data::NpyWriter> rows_;
  std::vector<float> none_;
};

template <typename File>
std::unique_ptr<CodeFile> make(Output& output, std::span<const std::string>) {
  return std::make_unique<File>(output);
}

constexpr std::array kFormats{
    CodeFormat{".csv", make<CsvCodes>},
    CodeFormat{".npy", make<NpyCodes>},
    CodeFormat{".h5ad", make_h5ad_codes},
};

}  // namespace

std::span<const CodeFormat> code_formats() { return kFormats; }

const CodeFormat& code_format(const std::string& path) {
  if (path == "-") return kFormats.front();
  const auto extension = lower_case(std::filesystem::path(path).extension().string());
  std::vector<std::string> known;
  for (const auto& format : kFormats) {
    if (format.extension == extension) return format;
    known.emplace_back(format.extension);
  }
  throw UsageError(path + ": no file of codes has the extension " + ae::quoted(extension) + "; use " +
                   ae::join(known, " or "));
}

}  // namespace ae::apply
