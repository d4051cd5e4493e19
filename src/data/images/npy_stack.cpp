#include "data/images/npy_stack.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"

namespace ae::data {
namespace {

constexpr std::size_t kStackBlock = 256 * 1024;
constexpr NpyWanted kStack{3, 4, "three or four dimensions"};

// Losses, corruption and maps take pixels to lie in [0, 1]; whole numbers are brought there, floats must be.
bool is_pixel(double value) {
  constexpr double kTolerance = 1e-6;
  return value >= -kTolerance && value <= 1 + kTolerance;
}

// (images, channels, height, width), as PyTorch has it: 1, 3 or 4 of what else would be rows of pixels, and more
// channels than an image has.
bool looks_channels_first(const std::vector<std::uint64_t>& shape) {
  return shape.size() == 4 && (shape[1] == 1 || shape[1] == 3 || shape[1] == 4) && shape[2] > 4 && shape[3] > 4;
}

class StackReader {
 public:
  explicit StackReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  // `file`: where the source's bytes can be read anywhere; null when they cannot.
  NpyStack read(const std::shared_ptr<RandomAccess>& file) {
    const NpyHeader header = read_npy_header(*source_);
    const std::string& name = source_->name();
    const auto kind = header.type.size() == 3 ? header.type.substr(1) : std::string();
    const auto type = find_npy_element(header.type);
    check_shape(header);
    if (!type || std::string_view("u1 u2 b1 f2 f4 f8").find(kind) == std::string_view::npos || kind.empty()) {
      throw InputError(name + ": dtype " + ae::quoted(header.type) +
                       "; expected pixels of type u1, u2, b1, f2, f4 or f8; convert them in NumPy with astype");
    }
    if (header.fortran_order) {
      throw InputError(name + ": an array in Fortran order; write it with numpy.ascontiguousarray");
    }
    std::uint64_t elements = 1;
    for (const std::uint64_t size : header.shape) {
      if (size == 0 || elements > kMostElements / size) {
        throw InputError(name + ": an array of impossible shape " + npy_shape_text(header.shape));
      }
      elements *= size;
    }
    const std::uint64_t channels = header.shape.size() == 4 ? header.shape[3] : 1;
    if (channels > kMostChannels) {
      throw InputError(name + ": " + std::to_string(channels) + " channels in shape " + npy_shape_text(header.shape) +
                       ", expected at most " + std::to_string(kMostChannels) + ", in the last dimension");
    }
    NpyStack stack;
    stack.images = static_cast<std::int64_t>(header.shape[0]);
    stack.height = static_cast<std::int64_t>(header.shape[1]);
    stack.width = static_cast<std::int64_t>(header.shape[2]);
    stack.channels = static_cast<std::int64_t>(channels);
    stack.type = kind == "u2" ? PixelType::u16 : kind[0] == 'f' ? PixelType::f32 : PixelType::u8;
    const bool native = header.type.front() == (std::endian::native == std::endian::little ? '<' : '>');
    if (file && (kind == "u1" || ((native || header.type.front() == '=') && (kind == "u2" || kind == "f4")))) {
      stack.file = file;
      stack.offset = header.bytes;
      check_in_place(stack, elements);
    } else {
      convert(*type, kind, elements, stack);
    }
    return stack;
  }

 private:
  static constexpr std::uint64_t kMostElements = 1ull << 36;
  static constexpr std::uint64_t kMostChannels = 64;

  void check_shape(const NpyHeader& header) const {
    const std::string found = source_->name() + ": an array of shape " + npy_shape_text(header.shape);
    if (header.shape.size() != 3 && header.shape.size() != 4) {
      throw InputError(found + " and dtype " + ae::quoted(header.type) +
                       "; expected (images, height, width) or (images, height, width, channels)" +
                       (header.shape.size() <= 2 ? "; if it is a table, " + for_type("table") : ""));
    }
    if (looks_channels_first(header.shape)) {
      throw InputError(found +
                       ", which looks like channels first; expected (images, height, width, channels): transpose it "
                       "with numpy.moveaxis(array, 1, -1)");
    }
  }

  // Piece by piece, so that no more memory is taken than there are bytes in the file.
  void convert(const NpyElement& type, const std::string& kind, std::uint64_t elements, NpyStack& stack) {
    std::vector<char> piece(kStackBlock / 8 * type.size);
    const std::uint64_t in_piece = piece.size() / type.size;
    for (std::uint64_t done = 0; done < elements;) {
      const std::uint64_t count = std::min(in_piece, elements - done);
      const std::size_t bytes = static_cast<std::size_t>(count) * type.size;
      if (read_fully(*source_, piece.data(), bytes) != bytes) {
        throw too_short(elements);
      }
      for (std::uint64_t i = 0; i < count; ++i) append(type, kind, piece.data() + i * type.size, done + i, stack);
      done += count;
    }
    char beyond = 0;
    if (source_->read(&beyond, 1) != 0) throw too_long();
  }

  void check_in_place(const NpyStack& stack, std::uint64_t elements) {
    const std::uint64_t expected = elements * bytes_per_pixel(stack.type), found = stack.file->size() - stack.offset;
    if (found < expected) throw too_short(elements);
    if (found > expected) throw too_long();
    if (stack.type != PixelType::f32) return;
    std::vector<float> piece(kStackBlock / sizeof(float));
    for (std::uint64_t done = 0; done < elements;) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), elements - done));
      stack.file->read_at(stack.offset + done * sizeof(float), reinterpret_cast<char*>(piece.data()),
                          count * sizeof(float));
      for (std::size_t i = 0; i < count; ++i) {
        if (!is_pixel(piece[i])) throw no_pixel(piece[i], done + i, stack);
      }
      done += count;
    }
  }

  InputError too_short(std::uint64_t elements) const {
    return InputError(source_->name() + ": the file ends too early: expected " + std::to_string(elements) +
                      " elements behind the header; copy or write it again");
  }
  InputError too_long() const {
    return InputError(source_->name() + ": bytes behind the array's end; write one array a file, or several as NPZ");
  }
  InputError no_pixel(double value, std::uint64_t element, const NpyStack& stack) const {
    const auto per_image = static_cast<std::uint64_t>(stack.height * stack.width * stack.channels);
    const std::string found =
        source_->name() + ": image " + std::to_string(element / per_image) + " holds " + number_text(value);
    if (!std::isfinite(value)) return InputError(found + "; expected finite pixels");
    const std::string fix = value < 0 ? "scale the array by its smallest and largest value"
                                      : "divide the array by 255 or its largest value";
    return InputError(found + "; expected float pixels in [0, 1]: " + fix +
                      "; if it holds coordinates or anything else but images, reshape it to (" +
                      std::to_string(stack.images) + ", " + std::to_string(per_image) + "): then " + for_type("table"));
  }

  void append(const NpyElement& type, const std::string& kind, const char* bytes, std::uint64_t element,
              NpyStack& stack) const {
    const double value = type.number(bytes);
    if (stack.type == PixelType::u8) {
      stack.bytes.push_back(static_cast<std::uint8_t>(kind == "b1" ? value * 255 : value));
    } else if (stack.type == PixelType::u16) {
      push(static_cast<std::uint16_t>(value), stack.bytes);
    } else if (is_pixel(value)) {
      push(static_cast<float>(value), stack.bytes);
    } else {
      throw no_pixel(value, element, stack);
    }
  }

  template <typename T>
  static void push(T value, std::vector<std::uint8_t>& bytes) {
    const auto raw = std::bit_cast<std::array<std::uint8_t, sizeof(T)>>(value);
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }

  std::unique_ptr<ByteSource> source_;
};

}  // namespace

NpyStack read_npy_stack(std::unique_ptr<ByteSource> source) { return StackReader(std::move(source)).read(nullptr); }

NpyStack open_npy_stack(const std::shared_ptr<RandomAccess>& file) {
  return StackReader(from_the_beginning(file)).read(file);
}

void NpyStack::read(std::int64_t image, std::uint8_t* to) const {
  const std::size_t size = image_bytes();
  const auto from = static_cast<std::uint64_t>(image) * size;
  if (file) return file->read_at(offset + from, reinterpret_cast<char*>(to), size);
  std::memcpy(to, bytes.data() + from, size);
}

NpyStack read_npz_stack(std::unique_ptr<RandomAccess> opened, const std::string& array) {
  return read_npy_stack(open_npz_array(std::move(opened), array, kStack));
}

}  // namespace ae::data
