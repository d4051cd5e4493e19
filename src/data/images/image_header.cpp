#include "data/images/image_header.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {

InputError damaged_image(const std::string& name, const std::string& what) {
  return InputError(name + ": " + what + "; the image is damaged: replace it or leave it out");
}

namespace {

using Bytes = std::vector<std::uint8_t>;

// Above a size that costs little, no honest file holds more pixels a byte: deflate reaches 8 x 1032 for bilevel ones.
constexpr std::uint64_t kCheapPixels = 1ull << 24;
constexpr std::uint64_t kMostPixelsPerByte = 20000;

constexpr std::size_t kBytesThatTell = 1 << 14;  // at the beginning of a picture, what it is

std::uint64_t number_of(const std::uint8_t* bytes, std::size_t count, bool big) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{bytes[i]} << (8 * (big ? count - 1 - i : i));
  return value;
}

// Every number of a TIFF file or of an Exif block, which is laid out as one; 0 beyond its end.
class TiffReader {
 public:
  TiffReader(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  bool is_tiff() const {
    return size_ >= 8 && (std::memcmp(bytes_, "II*\0", 4) == 0 || std::memcmp(bytes_, "MM\0*", 4) == 0);
  }
  bool big_endian() const { return bytes_[0] == 'M'; }
  std::uint64_t number(std::uint64_t at, std::size_t count) const {
    if (at > size_ || count > size_ - at) return 0;
    return number_of(bytes_ + at, count, big_endian());
  }
  // Where the entry of a tag begins, in the directory at `directory`; 0 when there is none.
  std::uint64_t entry(std::uint64_t directory, std::uint64_t tag) const {
    const auto entries = number(directory, 2);
    for (std::uint64_t i = 0; i < entries; ++i) {
      if (number(directory + 2 + 12 * i, 2) == tag) return directory + 2 + 12 * i;
    }
    return 0;
  }
  // A number that stands in its entry (TIFF 6.0, section 2: SHORT or LONG); `missing` when there is none.
  std::uint64_t value(std::uint64_t directory, std::uint64_t tag, std::uint64_t missing) const {
    const auto at = entry(directory, tag);
    return at == 0 ? missing : number(at + 8, number(at + 2, 2) == 3 ? 2 : 4);
  }
  std::uint64_t first_directory() const { return number(4, 4); }
  std::uint64_t next_directory(std::uint64_t directory) const {
    return number(directory + 2 + 12 * number(directory, 2), 4);
  }
  // How the picture must be turned to be upright, 1 to 8; 1 when nothing sensible is said.
  int orientation() const {
    const auto found = is_tiff() ? value(first_directory(), kOrientation, 1) : 1;
    return found >= 1 && found <= 8 ? static_cast<int>(found) : 1;
  }
  static constexpr std::uint64_t kOrientation = 274;
  // Of the first sample; several numbers stand elsewhere, where their entry points.
  std::uint64_t bits(std::uint64_t directory) const {
    const auto at = entry(directory, 258);
    if (at == 0) return 1;
    return number(at + 4, 4) <= 2 ? number(at + 8, 2) : number(number(at + 8, 4), 2);
  }

 private:
  const std::uint8_t* bytes_;
  std::size_t size_;
};

class HeaderOfImage {
 public:
  HeaderOfImage(const Bytes& bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  ImageHeader read() {
    if (bytes_.empty()) throw damaged_image(name_, "the file is empty");
    if (starts_with("\x89PNG\r\n\x1a\n")) {
      png();
    } else if (starts_with("\xff\xd8\xff")) {
      jpeg();
    } else if (starts_with("BM")) {
      bmp();
    } else if (starts_with(std::string_view("II*\0", 4)) || starts_with(std::string_view("MM\0*", 4))) {
      tiff();
    } else {
      throw not_an_image();
    }
    return answer_;
  }

 private:
  std::size_t size() const { return bytes_.size(); }
  bool starts_with(std::string_view magic) const {
    return size() >= magic.size() && std::memcmp(bytes_.data(), magic.data(), magic.size()) == 0;
  }
  void require(std::uint64_t at, std::uint64_t count) const {
    if (at > size() || count > size() - at) throw damaged_image(name_, "the file ends inside its header");
  }
  std::uint64_t number(std::size_t at, std::size_t count, bool big) const {
    require(at, count);
    return number_of(bytes_.data() + at, count, big);
  }
  InputError not_an_image() const {
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), size());
    if (const FileType* type = recognise(text))
      return wrong_kind(name_, *type, "images", "a PNG, JPEG, BMP or TIFF image");
    return InputError(name_ + ": not an image: it begins with " + ae::quoted(text.substr(0, 8)) +
                      ", expected PNG, JPEG, BMP or TIFF");
  }
  void dimensions(std::uint64_t width, std::uint64_t height) const {
    if (width == 0 || height == 0) throw damaged_image(name_, "its header claims an empty image");
    const bool too_many =
        width > kMostPixelsOfAnImage || height > kMostPixelsOfAnImage || width * height > kMostPixelsOfAnImage;
    if (too_many || (width * height > kCheapPixels && width * height / size() > kMostPixelsPerByte)) {
      throw InputError(name_ + ": its header claims " + std::to_string(height) + " x " + std::to_string(width) +
                       " pixels in a file of " + std::to_string(size()) + " bytes; expected at most " +
                       std::to_string(kMostPixelsOfAnImage) + " pixels, and an honest header");
    }
  }

  // Chunks with their checksums, up to IEND: libpng would report damage on standard error only.
  void png() {
    dimensions(number(16, 4, true), number(20, 4, true));
    std::uint64_t frames = 1;
    bool animated = false, begun = false, first_is_a_frame = false;
    for (std::size_t at = 8;;) {
      const std::uint64_t length = number(at, 4, true);
      if (length > size() - at || size() - at - length < 12)
        throw damaged_image(name_, "the PNG file ends inside a chunk");
      const auto end = at + 8 + static_cast<std::size_t>(length);
      if (crc32(0, bytes_.data() + at + 4, static_cast<uInt>(length + 4)) != number(end, 4, true)) {
        throw damaged_image(name_, "a PNG chunk does not match its checksum");
      }
      const std::string_view kind(reinterpret_cast<const char*>(bytes_.data()) + at + 4, 4);
      if (kind == "IHDR" && length >= 10) {
        set_few_bits(number(at + 16, 1, true));
        answer_.gray_with_alpha = number(at + 17, 1, true) == 4;
      } else if (kind == "eXIf") {
        answer_.orientation = TiffReader(bytes_.data() + at + 8, static_cast<std::size_t>(length)).orientation();
      } else if (kind == "acTL" && length >= 4) {
        animated = true;
        frames = number(at + 8, 4, true);
      } else if (kind == "IDAT") {
        begun = true;
      } else if (kind == "fcTL" && !begun) {
        first_is_a_frame = true;
      } else if (kind == "IEND") {
        // The picture that stands for an animation where it is not shown may be none of its frames.
        if (animated) answer_.further = static_cast<std::int64_t>(frames - (first_is_a_frame && frames > 0 ? 1 : 0));
        return;
      }
      at = end + 4;
    }
  }
  // Segments up to the frame's and the scan's header, and the end marker behind them, which a cut file lacks.
  void jpeg() {
    bool has_frame = false;
    for (std::size_t at = 2;;) {
      while (number(at, 2, true) == 0xffff) ++at;
      const auto marker = number(at, 2, true);
      if (marker < 0xff01) throw damaged_image(name_, "the JPEG file has no marker where one must be");
      const std::uint64_t length = number(at + 2, 2, true);
      const bool frame =
          marker >= 0xffc0 && marker <= 0xffcf && marker != 0xffc4 && marker != 0xffc8 && marker != 0xffcc;
      if (frame) {
        dimensions(number(at + 7, 2, true), number(at + 5, 2, true));
        has_frame = true;
      }
      if (marker == 0xffe1) exif(at + 4, length);
      if (marker == 0xffe2) further_pictures(at + 4, length);
      at += 2 + static_cast<std::size_t>(length);
      if (marker == 0xffda) {
        constexpr std::uint8_t kEnd[] = {0xff, 0xd9};
        const auto from = bytes_.begin() + static_cast<std::ptrdiff_t>(std::min(at, size()));
        if (!has_frame || std::search(from, bytes_.end(), kEnd, kEnd + 2) == bytes_.end()) {
          throw damaged_image(name_, "the JPEG file ends too early");
        }
        return;
      }
    }
  }
  // What follows `magic` in the segment of a JPEG file whose content, of `length` less two bytes, begins at `at`; empty
  // when the segment is another.
  std::string_view content_of(std::size_t at, std::uint64_t length, std::string_view magic) const {
    if (length < 2 + magic.size() || at > size() || length - 2 > size() - at) return {};
    auto content = text_at(at, static_cast<std::size_t>(length - 2));
    if (!content.starts_with(magic)) return {};
    content.remove_prefix(magic.size());
    return content;
  }
  // At most `count` bytes.
  std::string_view text_at(std::size_t at, std::size_t count) const {
    return std::string_view(reinterpret_cast<const char*>(bytes_.data()), size()).substr(std::min(at, size()), count);
  }
  static TiffReader tiff_of(std::string_view content) {
    return {reinterpret_cast<const std::uint8_t*>(content.data()), content.size()};
  }
  // An APP1 segment, when it is an Exif block.
  void exif(std::size_t at, std::uint64_t length) {
    const auto block = content_of(at, length, std::string_view("Exif\0\0", 6));
    if (!block.empty()) answer_.orientation = tiff_of(block).orientation();
  }
  // An APP2 segment, when it lists the pictures of a file of several (CIPA DC-007, 5.2.3), whose places are counted
  // from where this list begins. One that is not there, a smaller copy of the first one, and a map of its brightness
  // for other screens are no further pictures.
  void further_pictures(std::size_t at, std::uint64_t length) {
    constexpr std::uint64_t kEntries = 0xb002, kEntryBytes = 16, kThumbnails = 1;
    constexpr std::string_view kMagic("MPF\0", 4);
    const auto list = content_of(at, length, kMagic);
    const auto tiff = tiff_of(list);
    if (!tiff.is_tiff()) return;
    const auto entries = tiff.entry(tiff.first_directory(), kEntries);
    if (entries == 0) return;
    const auto end = tiff.number(entries + 8, 4) + tiff.number(entries + 4, 4);
    for (auto one = tiff.number(entries + 8, 4) + kEntryBytes; one + kEntryBytes <= std::min(end, list.size());
         one += kEntryBytes) {
      const auto kind = tiff.number(one, 4) >> 16 & 0xff, offset = tiff.number(one + 8, 4);
      const auto picture = text_at(at + kMagic.size() + static_cast<std::size_t>(offset), kBytesThatTell);
      if (offset > 0 && kind != kThumbnails && picture.starts_with("\xff\xd8\xff") && !is_gain_map(picture))
        ++answer_.further;
    }
  }
  // By what stands in its metadata: of ISO 21496-1, Adobe or Apple.
  static bool is_gain_map(std::string_view picture) {
    constexpr std::string_view kMarks[]{"urn:iso:std:iso:ts:21496", "http://ns.adobe.com/hdr-gain-map/", "hdrgainmap"};
    return std::ranges::any_of(kMarks,
                               [&](std::string_view mark) { return picture.find(mark) != std::string_view::npos; });
  }
  void set_few_bits(std::uint64_t bits) { answer_.few_bits = bits < 8 ? static_cast<int>(bits) : 0; }
  void bmp() {
    const bool old = number(14, 4, false) == 12;
    const std::size_t bytes = old ? 2 : 4;
    const auto height = static_cast<std::int64_t>(number(18 + bytes, bytes, false));
    const auto signed_height = old ? height : static_cast<std::int32_t>(height);
    answer_.alpha = Alpha::perhaps;
    set_few_bits(number(18 + 2 * bytes + 2, 2, false));
    dimensions(number(18, bytes, false),
               static_cast<std::uint64_t>(std::abs(static_cast<std::int64_t>(signed_height))));
  }
  // Width, height and extra samples are entries 256, 257 and 338 of the first directory (TIFF 6.0, section 8).
  void tiff() {
    const TiffReader tiff(bytes_.data(), bytes_.size());
    const auto first = tiff.first_directory();
    const auto entries = number(static_cast<std::size_t>(first), 2, tiff.big_endian());
    require(first, 2 + 12 * entries);
    dimensions(tiff.value(first, 256, 0), tiff.value(first, 257, 0));
    answer_.orientation = tiff.orientation();
    if (answer_.orientation != 1) answer_.tiff_orientation = tiff.entry(first, TiffReader::kOrientation) + 8;
    // OpenCV reads 8 bits as shown before black, and more bits as they are (extra sample 2: not multiplied by alpha).
    const bool eight_bits = tiff.bits(first) <= 8;
    set_few_bits(tiff.bits(first));
    constexpr std::uint64_t kColours = 2;  // of entry 262, from here on; below, gray
    answer_.gray_with_alpha = tiff.value(first, 262, kColours) < kColours && tiff.value(first, 277, 1) == 2;
    answer_.alpha = !eight_bits && tiff.value(first, 338, 0) == 2 ? Alpha::apart : Alpha::multiplied;
    std::set<std::uint64_t> seen{first};
    // Directories do not overlap in files that mean well; those of others must not take longer than their bytes allow.
    std::uint64_t left = bytes_.size();
    for (auto next = tiff.next_directory(first); next != 0 && seen.insert(next).second;
         next = tiff.next_directory(next)) {
      const auto length = 2 + 12 * tiff.number(next, 2) + 4;
      if (length > left) throw damaged_image(name_, "its directories lie over each other");
      left -= length;
      const bool thumbnail = tiff.value(next, 254, 0) & 1;
      if (tiff.number(next, 2) > 0 && !thumbnail) ++answer_.further;
    }
  }

  const Bytes& bytes_;
  const std::string& name_;
  ImageHeader answer_;
};

}  // namespace

ImageHeader read_image_header(const Bytes& bytes, const std::string& name) { return HeaderOfImage(bytes, name).read(); }

}  // namespace ae::data
