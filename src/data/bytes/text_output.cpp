#include "data/bytes/text_output.hpp"

#include <zlib.h>

#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace ae::data {

namespace {
constexpr std::size_t kAtOnce = 1 << 18;
}

struct TextOutput::Deflater {
  z_stream stream{};
  Deflater() {
    constexpr int kGzip = 15 + 16, kMemory = 8;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Deflater() { deflateEnd(&stream); }
};

TextOutput::TextOutput(Sink sink, bool gzip)
    : sink_(std::move(sink)), deflater_(gzip ? std::make_unique<Deflater>() : nullptr) {}
TextOutput::~TextOutput() = default;

void TextOutput::write(std::string_view text) {
  text_ += text;
  if (text_.size() >= kAtOnce) hand_on(false);
}

void TextOutput::finish() { hand_on(true); }

void TextOutput::hand_on(bool last) {
  if (!deflater_) {
    sink_(text_);
    text_.clear();
    return;
  }
  std::array<char, 1 << 16> bytes;
  auto& stream = deflater_->stream;
  stream.next_in = reinterpret_cast<Bytef*>(text_.data());
  stream.avail_in = static_cast<uInt>(text_.size());
  do {
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_out = static_cast<uInt>(bytes.size());
    if (deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) throw std::logic_error("deflate failed");
    sink_({bytes.data(), bytes.size() - stream.avail_out});
  } while (stream.avail_out == 0);
  text_.clear();
}

void append_float(std::string& text, float value) {
  std::array<char, 32> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

}  // namespace ae::data
