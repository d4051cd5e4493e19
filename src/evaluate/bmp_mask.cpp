#include "evaluate/bmp_mask.hpp"

#include <array>
#include <cstdlib>

#include "base/error.hpp"

namespace ae::evaluate {
namespace {

constexpr std::uint64_t kMostMaskPixels = std::uint64_t{1} << 28;

class BmpMask {
 public:
  BmpMask(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  DefectMask read() {
    read_header();
    const std::uint64_t stride = (width_ * bits_ + 31) / 32 * 4;
    require(pixels_, stride * height_);
    DefectMask mask{static_cast<std::int64_t>(width_), static_cast<std::int64_t>(height_), {}};
    mask.defect.reserve(width_ * height_);
    for (std::uint64_t y = 0; y < height_; ++y) {
      const std::uint64_t row = pixels_ + stride * (upwards_ ? height_ - 1 - y : y);
      for (std::uint64_t x = 0; x < width_; ++x) mask.defect.push_back(is_defect(row, x) ? 1 : 0);
    }
    return mask;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(name_ + ": cannot be read as BMP: " + what + "; write the mask again, as PNG");
  }
  void require(std::uint64_t at, std::uint64_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) fail("the file ends too early");
  }
  std::uint32_t number(std::uint64_t at, std::uint64_t count) const {
    require(at, count);
    std::uint32_t value = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      value |= std::uint32_t{static_cast<std::uint8_t>(bytes_[at + i])} << (8 * i);
    }
    return value;
  }

  void read_header() {
    constexpr std::uint64_t kHeader = 14;
    pixels_ = number(10, 4);
    const std::uint64_t length = number(kHeader, 4);
    const bool old = length == 12;
    if (!old && length < 40) fail("its header has " + std::to_string(length) + " bytes");
    const auto height = static_cast<std::int32_t>(old ? number(20, 2) : number(22, 4));
    width_ = old ? number(18, 2) : number(18, 4);
    height_ = static_cast<std::uint64_t>(std::abs(std::int64_t{height}));
    upwards_ = height > 0;
    bits_ = number(old ? 24 : 28, 2);
    if (width_ == 0 || height_ == 0 || width_ > kMostMaskPixels || width_ * height_ > kMostMaskPixels) {
      fail("its header claims " + std::to_string(width_) + "x" + std::to_string(height_) + " pixels");
    }
    constexpr std::uint32_t kPlain = 0, kBitFields = 3;
    const std::uint32_t compression = old ? kPlain : number(30, 4);
    const bool fields = compression == kBitFields && (bits_ == 16 || bits_ == 32);
    if (compression != kPlain && !fields) fail("its pixels are compressed");
    if (bits_ != 1 && bits_ != 4 && bits_ != 8 && bits_ != 16 && bits_ != 24 && bits_ != 32) {
      fail(std::to_string(bits_) + " bits a pixel");
    }
    if (bits_ <= 8) return read_palette(kHeader + length, old ? 3 : 4, old ? 0 : number(46, 4));
    colours_ = bits_ == 16 ? 0x7fff : 0xffffff;
    if (fields) colours_ = number(54, 4) | number(58, 4) | number(62, 4);
  }

  void read_palette(std::uint64_t at, std::uint64_t entry, std::uint64_t entries) {
    if (entries == 0 || entries > (1u << bits_)) entries = 1u << bits_;
    require(at, entries * entry);
    for (std::uint64_t i = 0; i < entries; ++i) coloured_[i] = number(at + i * entry, 3) != 0;
  }

  bool is_defect(std::uint64_t row, std::uint64_t x) const {
    if (bits_ > 8) return (number(row + x * bits_ / 8, bits_ / 8) & colours_) != 0;
    const std::uint64_t bit = x * bits_;
    const auto byte = static_cast<std::uint8_t>(bytes_[row + bit / 8]);
    return coloured_[(byte >> (8 - bits_ - bit % 8)) & ((1u << bits_) - 1)];
  }

  const std::string_view bytes_;
  const std::string& name_;
  std::uint64_t pixels_ = 0, width_ = 0, height_ = 0, bits_ = 0;
  bool upwards_ = true;  // the last row comes first
  std::uint32_t colours_ = 0;
  std::array<bool, 256> coloured_{};  // of the palette
};

}  // namespace

DefectMask decode_bmp_mask(std::string_view bytes, const std::string& name) { return BmpMask(bytes, name).read(); }

}  // namespace ae::evaluate
