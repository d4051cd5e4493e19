#include "data/images/images.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/bytes/idx.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/bytes/source.hpp"
#include "data/images/folders.hpp"
#include "data/images/image_header.hpp"
#include "data/images/npy_stack.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kMostFileBytes = 1ull << 31;

// --- OpenCV's matrices -----------------------------------------------------------------------------------------------

// OpenCV tells what it cannot decode on the error stream, besides returning nothing; one clear line is enough. The
// stream is silent while any thread has one of these.
class SilentErrorStream {
 public:
  SilentErrorStream() {
    const std::lock_guard lock(guard);
    if (holders++ == 0) kept = std::cerr.rdbuf(nullptr);
  }
  ~SilentErrorStream() {
    const std::lock_guard lock(guard);
    if (--holders > 0) return;
    std::cerr.rdbuf(kept);
    std::cerr.clear();
  }
  SilentErrorStream(const SilentErrorStream&) = delete;
  SilentErrorStream& operator=(const SilentErrorStream&) = delete;

 private:
  // NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): as the stream is one for all
  static inline std::mutex guard;
  static inline int holders = 0;
  static inline std::streambuf* kept = nullptr;
  // NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)
};

int matrix_type(PixelType type) {
  return type == PixelType::u8 ? CV_8UC1 : type == PixelType::u16 ? CV_16UC1 : CV_32FC1;
}

// One channel of an image as a matrix that shares its bytes.
cv::Mat channel(const Image& image, std::int64_t c) {
  const auto plane = static_cast<std::size_t>(image.height * image.width) * bytes_per_pixel(image.type);
  auto* bytes = const_cast<std::uint8_t*>(image.bytes.data()) + static_cast<std::size_t>(c) * plane;
  return {static_cast<int>(image.height), static_cast<int>(image.width), matrix_type(image.type), bytes};
}

Image blank(std::int64_t channels, Size size, PixelType type) {
  Image image{channels, size.height, size.width, type, {}};
  image.bytes.resize(static_cast<std::size_t>(channels * size.height * size.width) * bytes_per_pixel(type));
  return image;
}

// Colours as they are seen before black, so that what is hidden by transparency does not count; opaque pixels stay what
// they are.
template <typename T>
void put_before_black(cv::Mat& matrix) {
  constexpr std::uint64_t kOpaque = std::numeric_limits<T>::max();
  for (int y = 0; y < matrix.rows; ++y) {
    T* pixel = matrix.ptr<T>(y);
    for (int x = 0; x < matrix.cols; ++x, pixel += 4) {
      if (pixel[3] == kOpaque) continue;
      for (int c = 0; c < 3; ++c)
        pixel[c] = static_cast<T>((pixel[c] * std::uint64_t{pixel[3]} + kOpaque / 2) / kOpaque);
    }
  }
}

void remove_alpha(cv::Mat& matrix, Alpha alpha) {
  if (matrix.channels() != 4 || alpha == Alpha::multiplied) return;
  if (alpha == Alpha::perhaps) {
    cv::Mat plane;
    cv::extractChannel(matrix, plane, 3);
    if (cv::countNonZero(plane) == 0) return;
  }
  if (matrix.depth() == CV_8U) put_before_black<std::uint8_t>(matrix);
  if (matrix.depth() == CV_16U) put_before_black<std::uint16_t>(matrix);
}

// Turns rows and columns as Exif's orientation says (Exif 2.32, 4.6.4 A: where the first row and column are).
void make_upright(cv::Mat& matrix, int orientation) {
  constexpr int kHorizontally = 1, kVertically = 0, kBoth = -1;
  if (orientation >= 5) cv::transpose(matrix, matrix);
  switch (orientation) {
    case 2:
    case 6:
      cv::flip(matrix, matrix, kHorizontally);
      break;
    case 3:
    case 7:
      cv::flip(matrix, matrix, kBoth);
      break;
    case 4:
    case 8:
      cv::flip(matrix, matrix, kVertically);
      break;
    default:
      break;
  }
}

// OpenCV heeds the orientation of TIFF files, but not of all kinds of them: it is to leave that to us.
Bytes without_orientation(Bytes bytes, const ImageHeader& header) {
  const bool big = bytes[0] == 'M';
  bytes[header.tiff_orientation] = big ? 0 : 1;
  bytes[header.tiff_orientation + 1] = big ? 1 : 0;
  return bytes;
}

// "16-bit RGB with alpha"
std::string form_of(PixelType type, std::int64_t channels) {
  const std::string bits =
      std::to_string(8 * bytes_per_pixel(type)) + "-bit " + (type == PixelType::f32 ? "float " : "");
  if (channels == 1) return bits + "gray";
  if (channels == 3) return bits + "RGB";
  if (channels == 4) return bits + "RGB with alpha";
  return bits + std::to_string(channels) + "-channel";
}

// The same of what a file held before it was decoded.
std::string form_of(const ImageHeader& header, PixelType type, std::int64_t channels) {
  if (header.gray_with_alpha) return form_of(type, 1) + " with alpha";
  if (channels == 1 && header.few_bits > 0) return std::to_string(header.few_bits) + "-bit gray";
  return form_of(type, channels);
}

// Channels of a matrix, in the given order, as planes.
Image to_planes(const cv::Mat& matrix, std::span<const int> order, PixelType type) {
  Image image = blank(static_cast<std::int64_t>(order.size()), {matrix.rows, matrix.cols}, type);
  for (std::size_t c = 0; c < order.size(); ++c) {
    cv::Mat plane = channel(image, static_cast<std::int64_t>(c));
    cv::extractChannel(matrix, plane, order[c]);
  }
  return image;
}

bool channels_are_equal(const Image& image) {
  const auto plane = image.bytes.size() / static_cast<std::size_t>(image.channels);
  for (std::int64_t c = 1; c < image.channels; ++c) {
    if (std::memcmp(image.bytes.data(), image.bytes.data() + static_cast<std::size_t>(c) * plane, plane) != 0)
      return false;
  }
  return true;
}

// Rounded for whole numbers; equal channels stay what they are.
template <typename T>
void weigh_colours(const Image& rgb, Image& gray) {
  const auto count = static_cast<std::size_t>(rgb.height * rgb.width);
  const auto at = [&](std::size_t i) {
    T value;
    std::memcpy(&value, rgb.bytes.data() + i * sizeof(T), sizeof(T));
    return static_cast<double>(value);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const double value = 0.299 * at(i) + 0.587 * at(i + count) + 0.114 * at(i + 2 * count);
    const T pixel = std::is_floating_point_v<T> ? static_cast<T>(value) : static_cast<T>(std::lround(value));
    std::memcpy(gray.bytes.data() + i * sizeof(T), &pixel, sizeof(T));
  }
}

Image to_gray(const Image& rgb) {
  Image gray = blank(1, rgb.size(), rgb.type);
  if (rgb.type == PixelType::u8) weigh_colours<std::uint8_t>(rgb, gray);
  if (rgb.type == PixelType::u16) weigh_colours<std::uint16_t>(rgb, gray);
  if (rgb.type == PixelType::f32) weigh_colours<float>(rgb, gray);
  return gray;
}

Image with_channels(Image image, std::int64_t channels, const std::string& place) {
  if (channels == 0 || channels == image.channels) return image;
  if (image.channels == 3 && channels == 1) return to_gray(image);
  if (image.channels == 1 && channels == 3) {
    const Bytes plane = image.bytes;
    for (int copy = 0; copy < 2; ++copy) image.bytes.insert(image.bytes.end(), plane.begin(), plane.end());
    image.channels = 3;
    return image;
  }
  throw InputError(place + ": has " + std::to_string(image.channels) + " channels, expected " +
                   std::to_string(channels));
}

// --- sources ---------------------------------------------------------------------------------------------------------

bool is_normal(const std::string& label, const std::vector<std::string>& normal) {
  return normal.empty() || label_matches(label, normal);
}

[[noreturn]] void throw_nothing_normal(const std::string& name, const std::vector<std::string>& normal,
                                       const std::vector<std::string>& seen) {
  throw UsageError(
      "/data/normal: no image of " + name + " has the label " + ae::join(normal, " or ") +
      (seen.empty() ? "; its images have no labels: leave /data/normal out" : "; labels seen: " + ae::join(seen)));
}

template <typename Labels>
std::vector<std::string> distinct(const Labels& labels) {
  std::vector<std::string> seen;
  for (const auto& label : labels) {
    if (!label.empty() && std::find(seen.begin(), seen.end(), label) == seen.end()) seen.push_back(label);
  }
  std::sort(seen.begin(), seen.end());
  return seen;
}

class FileSource final : public ImageSource {
 public:
  FileSource(const fs::path& path, const ImageOptions& options, Purpose purpose)
      : FileSource(path, list_image_files(path, purpose, options.normal), options, purpose) {}
  FileSource(const fs::path& path, ImageListing listing, const ImageOptions& options, Purpose purpose)
      : files_(std::move(listing.files)), notes_(std::move(listing.notes)) {
    if (!options.labels.empty()) {
      throw UsageError("/data/labels: belongs to one IDX file of images; " + path.string() + " is none");
    }
    std::vector<std::string> labels;
    for (const auto& file : files_) labels.push_back(file.label);
    const auto seen = distinct(labels);
    has_labels_ = !seen.empty();
    if (purpose != Purpose::scoring) {
      std::erase_if(files_, [&](const auto& file) { return !is_normal(file.label, options.normal); });
    }
    if (files_.empty()) throw_nothing_normal(path.string(), options.normal, seen);
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  std::string id(std::int64_t i) const override { return file(i).id; }
  std::string label(std::int64_t i) const override { return file(i).label; }
  bool has_labels() const override { return has_labels_; }
  std::vector<fs::path> files() const override {
    std::vector<fs::path> paths;
    for (const auto& file : files_) paths.push_back(file.path);
    return paths;
  }
  const ImageNotes& notes() const override { return notes_; }

 protected:
  LoadedImage load_as_is(std::int64_t i) const override {
    const std::string bytes = read_file(file(i).path, FileKind::data, kMostFileBytes);
    return decode_image({bytes.begin(), bytes.end()}, place(i));
  }
  std::string place(std::int64_t i) const override { return file(i).path.string(); }

 private:
  const ImageFile& file(std::int64_t i) const { return files_.at(static_cast<std::size_t>(i)); }
  std::vector<ImageFile> files_;
  ImageNotes notes_;
  bool has_labels_ = false;
};

// A stack of equal images; ids are the numbers in the file.
class StackSource final : public ImageSource {
 public:
  StackSource(std::string name, NpyStack stack, std::vector<std::string> labels, const ImageOptions& options,
              Purpose purpose)
      : name_(std::move(name)), stack_(std::move(stack)), labels_(std::move(labels)) {
    for (std::int64_t i = 0; i < stack_.images; ++i) {
      const std::string label = labels_.empty() ? "" : labels_[static_cast<std::size_t>(i)];
      if (purpose == Purpose::scoring || is_normal(label, options.normal)) chosen_.push_back(i);
    }
    if (chosen_.empty()) throw_nothing_normal(name_, options.normal, distinct(labels_));
    const std::uint64_t pixels = static_cast<std::uint64_t>(stack_.height) * static_cast<std::uint64_t>(stack_.width);
    if (pixels > kMostPixelsOfAnImage) throw InputError(name_ + ": images of " + std::to_string(pixels) + " pixels");
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(chosen_.size()); }
  std::string id(std::int64_t i) const override { return std::to_string(number(i)); }
  std::string label(std::int64_t i) const override {
    return labels_.empty() ? "" : labels_[static_cast<std::size_t>(number(i))];
  }
  bool has_labels() const override { return !labels_.empty(); }
  std::vector<fs::path> files() const override { return {name_}; }
  const ImageNotes& notes() const override { return notes_; }

 protected:
  LoadedImage load_as_is(std::int64_t i) const override {
    return {pixels(i), form_of(stack_.type, stack_.channels), 0};
  }
  std::string place(std::int64_t i) const override { return name_ + ": image " + id(i); }

 private:
  Image pixels(std::int64_t i) const {
    Image image = blank(stack_.channels, {stack_.height, stack_.width}, stack_.type);
    if (stack_.channels == 1) {
      stack_.read(number(i), image.bytes.data());
      return image;
    }
    const std::size_t size = bytes_per_pixel(stack_.type);
    const auto channels = static_cast<std::size_t>(stack_.channels);
    const std::size_t pixels = image.bytes.size() / size / channels;
    Bytes mixed(image.bytes.size());
    stack_.read(number(i), mixed.data());
    const std::uint8_t* from = mixed.data();
    for (std::size_t p = 0; p < pixels; ++p) {
      for (std::size_t c = 0; c < channels; ++c, from += size) {
        std::memcpy(image.bytes.data() + (c * pixels + p) * size, from, size);
      }
    }
    return image;
  }
  std::int64_t number(std::int64_t i) const { return chosen_.at(static_cast<std::size_t>(i)); }
  std::string name_;
  NpyStack stack_;
  std::vector<std::string> labels_;
  std::vector<std::int64_t> chosen_;
  const ImageNotes notes_;
};

// The file, when it begins with what decompression gives as its beginning; else null.
std::shared_ptr<RandomAccess> uncompressed(const fs::path& path, const std::string& start) {
  std::shared_ptr<RandomAccess> file = RandomAccess::open(path);
  std::string bytes(start.size(), '\0');
  if (file->size() < bytes.size()) return nullptr;
  file->read_at(0, bytes.data(), bytes.size());
  return bytes == start ? file : nullptr;
}

// MNIST's names: train-images-idx3-ubyte belongs to train-labels-idx1-ubyte.
fs::path sibling_labels(const fs::path& images) {
  std::string name = images.filename().string();
  const std::size_t at = name.find("images");
  if (at == std::string::npos) return {};
  name.replace(at, 6, "labels");
  if (const std::size_t dimensions = name.find("idx3"); dimensions != std::string::npos) {
    name.replace(dimensions, 4, "idx1");
  }
  std::error_code ignored;
  const fs::path path = images.parent_path() / name;
  return fs::is_regular_file(path, ignored) ? path : fs::path();
}

std::vector<std::string> read_labels(const fs::path& path, std::int64_t images) {
  const auto source = ByteSource::open(path);
  const IdxArray array = read_idx(*source);
  if (array.shape.size() != 1 || array.shape.front() != images) {
    throw InputError(path.string() + ": expected one dimension with " + std::to_string(images) + " labels, found " +
                     std::to_string(array.shape.size()) + " with " + std::to_string(array.shape.front()) +
                     " in the first");
  }
  std::vector<std::string> labels;
  for (const std::uint8_t label : array.bytes) labels.push_back(std::to_string(label));
  return labels;
}

// `plain`: the file, when it is not compressed; then its pixels stay there.
std::unique_ptr<ImageSource> open_idx(const fs::path& path, ByteSource& source,
                                      const std::shared_ptr<RandomAccess>& plain, const ImageOptions& options,
                                      Purpose purpose) {
  NpyStack stack;
  std::vector<std::int64_t> shape;
  if (plain) {
    IdxLayout layout = find_idx(plain);
    shape = std::move(layout.shape);
    stack.file = plain;
    stack.offset = layout.offset;
  } else {
    IdxArray array = read_idx(source);
    shape = std::move(array.shape);
    stack.bytes = std::move(array.bytes);
  }
  if (shape.size() < 3) {
    throw InputError(path.string() + ": an IDX file of " + std::to_string(shape.size()) +
                     " dimensions, expected images, height and width" +
                     (shape.size() == 1 ? "; these look like labels: set them as /data/labels" : ""));
  }
  stack.images = shape[0];
  stack.height = shape[1];
  stack.width = shape[2];
  stack.channels = shape.size() == 4 ? shape[3] : 1;
  if (stack.channels > 64) {
    throw InputError(path.string() + ": images of " + std::to_string(stack.channels) +
                     " channels, expected at most 64, in the last dimension");
  }
  const fs::path labels = options.labels.empty() ? sibling_labels(path) : file_of(options.labels);
  return std::make_unique<StackSource>(path.string(), std::move(stack),
                                       labels.empty() ? std::vector<std::string>() : read_labels(labels, shape[0]),
                                       options, purpose);
}

}  // namespace

std::unique_ptr<ImageSource> ImageSource::open(const fs::path& path, const ImageOptions& options, Purpose purpose) {
  if (path == "-") {
    throw UsageError("images cannot be read from standard input; give a folder, a pattern, a list or a file");
  }
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored) && !has_image_extension(path)) {
    auto source = ByteSource::open(path);
    std::string start(6, '\0');
    start.resize(read_fully(*source, start.data(), start.size()));
    const bool idx = is_idx(start);
    const bool npy = begins_npy(start);
    if (start.starts_with("PK\3\4")) {
      return std::make_unique<StackSource>(path.string(), read_npz_stack(RandomAccess::open(path), options.array),
                                           std::vector<std::string>(), options, purpose);
    }
    std::shared_ptr<RandomAccess> plain;
    if (idx || npy) plain = uncompressed(path, start);
    source = with_prefix(std::move(start), std::move(source));
    if (idx) return open_idx(path, *source, plain, options, purpose);
    if (npy) {
      return std::make_unique<StackSource>(path.string(),
                                           plain ? open_npy_stack(plain) : read_npy_stack(std::move(source)),
                                           std::vector<std::string>(), options, purpose);
    }
  }
  return std::make_unique<FileSource>(path, options, purpose);
}

LoadedImage ImageSource::load(std::int64_t i, std::int64_t channels) const {
  LoadedImage loaded = load_as_is(i);
  loaded.image = with_channels(std::move(loaded.image), channels, place(i));
  return loaded;
}

std::int64_t channels_of(const ImageOptions& options, const Image& image) {
  if (options.channels == "gray") return 1;
  if (options.channels == "rgb") return 3;
  return image.channels == 3 && channels_are_equal(image) ? 1 : image.channels;
}

LoadedImage decode_image(const Bytes& bytes, const std::string& name) {
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  const ImageHeader header = read_image_header(bytes, name);
  cv::Mat matrix;
  try {
    const SilentErrorStream silent;
    matrix =
        cv::imdecode(header.tiff_orientation == 0 ? bytes : without_orientation(bytes, header), cv::IMREAD_UNCHANGED);
  } catch (const cv::Exception&) {
    matrix.release();
  }
  if (matrix.empty()) throw damaged_image(name, "its pixels cannot be decoded");
  if (matrix.depth() != CV_8U && matrix.depth() != CV_16U) {
    throw InputError(name + ": pixels that are neither 8-bit nor 16-bit whole numbers; convert the image");
  }
  remove_alpha(matrix, header.alpha);
  make_upright(matrix, header.orientation);
  const PixelType type = matrix.depth() == CV_8U ? PixelType::u8 : PixelType::u16;
  constexpr int kGray[] = {0};
  constexpr int kRedGreenBlue[] = {2, 1, 0};  // OpenCV keeps blue first
  auto image = matrix.channels() < 3 ? to_planes(matrix, kGray, type) : to_planes(matrix, kRedGreenBlue, type);
  return {std::move(image), form_of(header, type, matrix.channels()), header.further};
}

Image resized(const Image& image, const Geometry& geometry) {
  const Size size = geometry.network_size(image.size());
  if (size == image.size()) return image;
  Image result = blank(image.channels, size, image.type);
  const bool shrinks = size.height * size.width < image.height * image.width;
  for (std::int64_t c = 0; c < image.channels; ++c) {
    cv::Mat plane = channel(result, c);
    cv::resize(channel(image, c), plane, plane.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  return result;
}

}  // namespace ae::data
