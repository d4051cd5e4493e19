#include "data/images/images.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "config/document.hpp"
#include "core/memory_rows.hpp"
#include "model/image_samples.hpp"
#include "recipe/image_kind.hpp"
#include "recipe/makers.hpp"
#include "support/deflate.hpp"
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data::images_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Images : public testing::Test {
 protected:
  // 0 .. 255 (times 257 for 16 bit), another sequence in every channel.
  static cv::Mat picture(int height, int width, int type, int salt = 0) {
    cv::Mat matrix(height, width, type);
    Random random(static_cast<std::uint64_t>(salt));
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width * matrix.channels(); ++x) {
        const auto value = static_cast<int>(random.below(256));
        if (matrix.depth() == CV_8U) matrix.ptr<std::uint8_t>(y)[x] = static_cast<std::uint8_t>(value);
        if (matrix.depth() == CV_16U) matrix.ptr<std::uint16_t>(y)[x] = static_cast<std::uint16_t>(value * 257);
      }
    }
    return matrix;
  }
  fs::path write(const std::string& name, const cv::Mat& matrix) {
    fs::create_directories((root_ / name).parent_path());
    EXPECT_TRUE(cv::imwrite((root_ / name).string(), matrix));
    return root_ / name;
  }
  void put(const std::string& name, const std::string& bytes) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << bytes;
  }
  std::string bytes_of(const std::string& name) { return read_file(root_ / name, FileKind::data); }
  Image load(const fs::path& path, std::int64_t channels = 0) {
    return ImageSource::open(path, {}, Purpose::scoring)->load(0, channels).image;
  }
  std::string error_of(const fs::path& path) {
    return test::error_of<InputError>([&] { load(path); });
  }
  recipe::Dataset dataset(const std::string& settings, double held_out = 0.25) {
    SilentReporter reporter;
    return dataset(settings, reporter, held_out);
  }
  recipe::Dataset dataset(const std::string& settings, Reporter& reporter, double held_out = 0.25,
                          bool cached = false) {
    const auto options = recipe::kImageKind.make();
    config::read_text(*options, settings, "test", root_);
    if (cached) options->data().cache = {"cache", root_ / "cache"};
    return options->load(reporter, {held_out, 5}, cached ? 3 : 1);
  }
  std::vector<fs::path> caches() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(root_ / "cache")) found.push_back(entry.path());
    return found;
  }
  // What the cache gives, made by several threads or found, is what one thread holds in memory without one; so is what
  // is told.
  void expect_cache_changes_nothing(const std::string& settings) {
    RecordingReporter plain_reporter;
    const auto plain = dataset(settings, plain_reporter);
    for (int i = 0; i < 2; ++i) {
      RecordingReporter reporter;
      const auto cached = dataset(settings, reporter, 0.25, true);
      EXPECT_EQ(reporter.infos, plain_reporter.infos);
      EXPECT_EQ(reporter.warnings, plain_reporter.warnings);
      EXPECT_EQ(cached.data_sha256, plain.data_sha256);
      EXPECT_EQ(cached.domain().grid, plain.domain().grid);
      EXPECT_EQ(config::to_json(*std::make_unique<Geometry>(cached.kind->as<recipe::ImageKind>()->geometry()),
                                config::Paths::as_written),
                config::to_json(*std::make_unique<Geometry>(plain.kind->as<recipe::ImageKind>()->geometry()),
                                config::Paths::as_written));
      for (const auto& [cached_part, plain_part] :
           {std::pair(cached.training.get(), plain.training.get()), {cached.held_out.get(), plain.held_out.get()}}) {
        const auto& found = dynamic_cast<const model::ImageSamples&>(*cached_part);
        const auto& expected = dynamic_cast<const model::ImageSamples&>(*plain_part);
        ASSERT_EQ(found.image_count(), expected.image_count());
        ASSERT_GT(found.image_count(), 0);
        ASSERT_EQ(found.size(), expected.size());
        for (std::int64_t image = 0; image < found.image_count(); ++image) {
          EXPECT_EQ(found.image(image).size(), expected.image(image).size());
          EXPECT_EQ(found.image(image).type, expected.image(image).type);
          EXPECT_EQ(to_floats(found.image(image)), to_floats(expected.image(image)));
          EXPECT_EQ(found.original(image), expected.original(image));
        }
        const auto tiles = found.range(0, found.size()), same = expected.range(0, expected.size());
        EXPECT_TRUE(torch::equal(tiles.values, same.values));
        EXPECT_TRUE(torch::equal(tiles.observed, same.observed));
      }
    }
  }
  std::string dataset_error(const std::string& settings) {
    return test::error_of([&] { dataset(settings); });
  }
  const test::TemporaryFolder temporary_;
  const fs::path& root_ = temporary_.path();
};

TEST_F(Images, LosslessFormatsKeepEveryPixel) {
  for (const int type : {CV_8UC1, CV_8UC3, CV_16UC1, CV_16UC3}) {
    const cv::Mat matrix = picture(7, 5, type, 1);
    for (const char* name : {"x.png", "x.tif", "x.bmp"}) {
      if (std::string(name) == "x.bmp" && matrix.depth() == CV_16U) continue;
      const Image image = load(write(name, matrix));
      ASSERT_EQ(image.channels, matrix.channels());
      ASSERT_EQ(image.size(), (Size{7, 5}));
      const auto floats = to_floats(image);
      for (int c = 0; c < matrix.channels(); ++c) {
        for (int i = 0; i < 35; ++i) {
          const int from = i * matrix.channels() + (matrix.channels() - 1 - c);  // OpenCV keeps blue first
          const double expected = matrix.depth() == CV_8U ? matrix.ptr<std::uint8_t>(0)[from] / 255.0
                                                          : matrix.ptr<std::uint16_t>(0)[from] / 65535.0;
          EXPECT_NEAR(floats[static_cast<std::size_t>(c * 35 + i)], expected, 1e-7) << name;
        }
      }
    }
  }
}

TEST_F(Images, JpegIsNear) {
  const cv::Mat flat(16, 16, CV_8UC3, cv::Scalar(20, 120, 220));
  const auto floats = to_floats(load(write("x.jpg", flat)));
  EXPECT_NEAR(floats[0], 220 / 255.0, 0.02);
  EXPECT_NEAR(floats[2 * 256], 20 / 255.0, 0.02);
}

// Colours are told as they are seen before black: what transparency hides does not count.
TEST_F(Images, WhatIsTransparentIsBlack) {
  for (const int depth : {CV_8U, CV_16U}) {
    const int most = depth == CV_8U ? 255 : 65535;
    cv::Mat matrix = picture(4, 5, CV_MAKETYPE(depth, 4), 3);
    std::vector<int> expected(3 * 20);
    for (int i = 0; i < 20; ++i) {
      const int alpha = i < 8 ? most : i < 14 ? 0 : 1 + most / 20 * i / 2;
      for (int c = 0; c < 4; ++c) {
        const int from = 4 * i + c;
        const auto at = [&](auto* pixels) {
          if (c == 3) pixels[from] = static_cast<std::remove_pointer_t<decltype(pixels)>>(alpha);
          return static_cast<int>(pixels[from]);
        };
        const int value = depth == CV_8U ? at(matrix.ptr<std::uint8_t>(0)) : at(matrix.ptr<std::uint16_t>(0));
        if (c == 3) continue;
        expected[static_cast<std::size_t>(20 * (2 - c) + i)] =
            static_cast<int>(std::lround(static_cast<double>(value) * alpha / most));
      }
    }
    const Image image = load(write("x.png", matrix));
    ASSERT_EQ(image.channels, 3);
    const auto floats = to_floats(image);
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(std::lround(floats[i] * most), expected[i]) << i;
  }
}

// A 32-bit BMP whose fourth bytes are all 0 has no alpha: it is not black.
TEST_F(Images, TheUnusedBytesOfABitmapAreNoAlpha) {
  std::string bytes("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2\0\0\0\1\0\0\0\1\0\x20\0", 30);
  bytes += std::string(24, '\0') + std::string("\x0a\x14\x1e\0\x28\x32\x3c\0", 8);
  put("x.bmp", bytes);
  EXPECT_EQ(load(root_ / "x.bmp").bytes, (std::vector<std::uint8_t>{30, 60, 20, 50, 10, 40}));
}

// An Exif block with the orientation alone, little-endian or big-endian.
std::string exif(int orientation, bool big) {
  const char value = static_cast<char>(orientation);
  if (big) return std::string("MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0", 19) + value + std::string(6, '\0');
  return std::string("II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0", 18) + value + std::string(7, '\0');
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// A chunk after the signature and the header.
std::string with_chunk(std::string png, const std::string& kind, const std::string& content) {
  const std::string body = kind + content;
  const auto check = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  const auto length = big_endian(static_cast<std::uint32_t>(content.size()));
  return png.insert(33, length + body + big_endian(static_cast<std::uint32_t>(check)));
}

std::string with_segment(std::string jpeg, const std::string& exif) {
  const std::string body = std::string("Exif\0\0", 6) + exif;
  return jpeg.insert(2, std::string("\xff\xe1\0", 3) + static_cast<char>(body.size() + 2) + body);
}

// A TIFF file of one strip, as TIFF 6.0 describes it; samples of `bits` bits, gray or RGB.
std::string tiff(const cv::Mat& matrix, int orientation, int pages = 1) {
  const int channels = matrix.channels(), bits = matrix.depth() == CV_8U ? 8 : 16;
  const auto number = [](std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  std::string pixels;
  for (int i = 0; i < matrix.rows * matrix.cols; ++i) {
    for (int c = 0; c < channels; ++c) {
      const int from = i * channels + (channels - 1 - c);
      pixels +=
          bits == 8 ? number(matrix.ptr<std::uint8_t>(0)[from], 1) : number(matrix.ptr<std::uint16_t>(0)[from], 2);
    }
  }
  std::string file = std::string("II*\0", 4), body;
  const std::size_t directory_bytes = 2 + 12 * 10 + 4, bits_at = 8 + static_cast<std::size_t>(pages) * directory_bytes;
  file += number(8, 4);
  for (int page = 0; page < pages; ++page) {
    const auto entry = [&](int tag, int type, int count, std::uint64_t value) {
      body += number(static_cast<std::uint64_t>(tag), 2) + number(static_cast<std::uint64_t>(type), 2) +
              number(static_cast<std::uint64_t>(count), 4) + number(value, 4);
    };
    body += number(10, 2);
    entry(256, 4, 1, static_cast<std::uint64_t>(matrix.cols));
    entry(257, 4, 1, static_cast<std::uint64_t>(matrix.rows));
    entry(258, 3, channels, channels == 1 ? static_cast<std::uint64_t>(bits) : bits_at);
    entry(259, 3, 1, 1);
    entry(262, 3, 1, channels == 1 ? 1 : 2);
    entry(273, 4, 1, bits_at + 6);
    entry(274, 3, 1, static_cast<std::uint64_t>(orientation));
    entry(277, 3, 1, static_cast<std::uint64_t>(channels));
    entry(278, 4, 1, static_cast<std::uint64_t>(matrix.rows));
    entry(279, 4, 1, pixels.size());
    body += number(page + 1 < pages ? 8 + static_cast<std::size_t>(page + 1) * directory_bytes : 0, 4);
  }
  for (int c = 0; c < 3; ++c) body += number(static_cast<std::uint64_t>(bits), 2);
  return file + body + pixels;
}

// Where pixel (y, x) of an upright image of this size is stored: Exif 2.32, 4.6.4 A, says at which side the stored
// first row and column are.
std::pair<int, int> stored_at(int orientation, int y, int x, Size upright) {
  const int height = static_cast<int>(upright.height), width = static_cast<int>(upright.width);
  switch (orientation) {
    case 2:
      return {y, width - 1 - x};  // rows from the top, columns from the right
    case 3:
      return {height - 1 - y, width - 1 - x};  // bottom, right
    case 4:
      return {height - 1 - y, x};  // bottom, left
    case 5:
      return {x, y};  // rows from the left, columns from the top
    case 6:
      return {width - 1 - x, y};  // right, top
    case 7:
      return {width - 1 - x, height - 1 - y};  // right, bottom
    case 8:
      return {x, height - 1 - y};  // left, bottom
    default:
      return {y, x};
  }
}

TEST_F(Images, EveryOrientationIsMadeUpright) {
  for (const int type : {CV_8UC1, CV_8UC3, CV_16UC1, CV_16UC3}) {
    const cv::Mat stored = picture(6, 9, type, 7);
    write("x.png", stored);
    const Image plain = load(root_ / "x.png");
    for (int orientation = 1; orientation <= 8; ++orientation) {
      for (const bool big : {false, true}) {
        put("turned.png", with_chunk(bytes_of("x.png"), "eXIf", exif(orientation, big)));
        put("turned.tif", tiff(stored, orientation));
        for (const char* name : {"turned.png", "turned.tif"}) {
          const Image image = load(root_ / name);
          ASSERT_EQ(image.channels, plain.channels);
          ASSERT_EQ(image.size(), (orientation < 5 ? Size{6, 9} : Size{9, 6})) << name << orientation;
          const auto found = to_floats(image), as_stored = to_floats(plain);
          for (int c = 0; c < image.channels; ++c) {
            for (int y = 0; y < image.height; ++y) {
              for (int x = 0; x < image.width; ++x) {
                const auto [row, column] = stored_at(orientation, y, x, image.size());
                ASSERT_EQ(found[static_cast<std::size_t>((c * image.height + y) * image.width + x)],
                          as_stored[static_cast<std::size_t>((c * 6 + row) * 9 + column)])
                    << name << " orientation " << orientation << " at " << y << ", " << x;
              }
            }
          }
        }
      }
    }
  }
}

TEST_F(Images, AJpegIsMadeUpright) {
  cv::Mat corner(16, 32, CV_8UC1, cv::Scalar(20));
  corner(cv::Rect(0, 0, 8, 8)).setTo(230);  // in the first rows and columns
  write("x.jpg", corner);
  for (int orientation = 0; orientation <= 9; ++orientation) {
    put("turned.jpg", with_segment(bytes_of("x.jpg"), exif(orientation, orientation % 2 == 0)));
    const Image image = load(root_ / "turned.jpg");
    const bool turned = orientation >= 5 && orientation <= 8;
    ASSERT_EQ(image.size(), (turned ? Size{32, 16} : Size{16, 32})) << orientation;
    for (int y = 4; y < image.height; y += 8) {
      for (int x = 4; x < image.width; x += 8) {
        const auto [row, column] = stored_at(orientation, y, x, image.size());
        const int expected = row < 8 && column < 8 ? 230 : 20;
        EXPECT_NEAR(image.bytes[static_cast<std::size_t>(y * image.width + x)], expected, 8) << orientation;
      }
    }
  }
  put("senseless.jpg", with_segment(bytes_of("x.jpg"), "II*"));
  EXPECT_EQ(load(root_ / "senseless.jpg").bytes, load(root_ / "x.jpg").bytes);
}

TEST_F(Images, PagesAndFramesBehindTheFirstAreCounted) {
  const auto further = [&](const std::string& bytes) {
    return decode_image({bytes.begin(), bytes.end()}, "x").further;
  };
  const cv::Mat matrix = picture(4, 4, CV_8UC1, 1);
  write("x.png", matrix);
  const std::string png = bytes_of("x.png");
  EXPECT_EQ(further(png), 0);
  const std::string control = std::string("\0\0\0\5\0\0\0\0", 8);  // five frames
  EXPECT_EQ(further(with_chunk(png, "acTL", control)), 5);
  EXPECT_EQ(further(with_chunk(with_chunk(png, "fcTL", std::string(26, '\0')), "acTL", control)), 4);
  for (int pages = 1; pages <= 3; ++pages) EXPECT_EQ(further(tiff(matrix, 1, pages)), pages - 1);
  std::string endless = tiff(matrix, 1);
  endless[8 + 2 + 120] = 8;  // the next directory is the first one
  EXPECT_EQ(further(endless), 0);
  // Directories that lie over each other would take a time that has nothing to do with the file's size.
  const auto put_number = [](std::string& file, std::size_t at, std::uint32_t value) {
    for (std::size_t byte = 0; byte < 4; ++byte) file[at + byte] = static_cast<char>(value >> (8 * byte));
  };
  std::string overlapping = tiff(matrix, 1);
  overlapping.resize(512 + 8000);
  put_number(overlapping, 8 + 2 + 120, 512);
  put_number(overlapping, 512, 600);  // entries; then the next directory, which begins within this one
  put_number(overlapping, 512 + 2 + 12 * 600, 520);
  put_number(overlapping, 520, 600);
  EXPECT_THROW(further(overlapping), InputError);
}

TEST_F(Images, TheFormOfAFileIsTold) {
  const auto form = [&](const fs::path& path) {
    return ImageSource::open(path, {}, Purpose::scoring)->load(0, 1).form;
  };
  EXPECT_EQ(form(write("a.png", picture(4, 4, CV_8UC1))), "8-bit gray");
  EXPECT_EQ(form(write("b.png", picture(4, 4, CV_16UC1))), "16-bit gray");
  EXPECT_EQ(form(write("c.jpg", picture(4, 4, CV_8UC3))), "8-bit RGB");
  EXPECT_EQ(form(write("d.png", picture(4, 4, CV_16UC4))), "16-bit RGB with alpha");
  put("x-images-idx3-ubyte", std::string("\0\0\x08\3\0\0\0\1\0\0\0\2\0\0\0\2", 16) + "aaaa");
  EXPECT_EQ(form(root_ / "x-images-idx3-ubyte"), "8-bit gray");
}

TEST_F(Images, GrayOfFewBitsOrWithAlphaIsNamedAsTheFileHasIt) {
  const auto form = [](const std::string& bytes) { return decode_image({bytes.begin(), bytes.end()}, "x").form; };
  // A PNG of 8 x 1 pixels; the row without its filter's byte.
  const auto png = [](char depth, char colours, const std::string& row) {
    const auto chunk = [](const std::string& kind, const std::string& content) {
      const std::string body = kind + content;
      const auto check = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
      return big_endian(static_cast<std::uint32_t>(content.size())) + body +
             big_endian(static_cast<std::uint32_t>(check));
    };
    const std::string header = std::string("\0\0\0\x08\0\0\0\1", 8) + depth + colours + std::string(3, '\0');
    return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) +
           chunk("IDAT", test::deflated(std::string(1, '\0') + row, MAX_WBITS)) + chunk("IEND", "");
  };
  EXPECT_EQ(form(png(1, 0, "\xa5")), "1-bit gray");
  EXPECT_EQ(form(png(2, 0, "ab")), "2-bit gray");
  EXPECT_EQ(form(png(4, 0, "abcd")), "4-bit gray");
  EXPECT_EQ(form(png(8, 0, "abcdefgh")), "8-bit gray");
  EXPECT_EQ(form(png(8, 4, "abcdefghijklmnop")), "8-bit gray with alpha");
  EXPECT_EQ(form(png(16, 4, std::string(32, 'a'))), "16-bit gray with alpha");
  EXPECT_EQ(form(png(8, 6, std::string(32, 'a'))), "8-bit RGB with alpha");
  const std::string black_and_white = png(1, 0, "\xa5");
  EXPECT_EQ(decode_image({black_and_white.begin(), black_and_white.end()}, "x").image.bytes,
            (std::vector<std::uint8_t>{255, 0, 255, 0, 0, 255, 0, 255}));

  // A bitmap of 8 x 1 pixels, black and white; and a strip of gray pixels of 8 bits as ones of 1 bit, or with alpha.
  std::string bitmap("BM\0\0\0\0\0\0\0\0\x3e\0\0\0\x28\0\0\0\x08\0\0\0\1\0\0\0\1\0\1\0", 30);
  bitmap += std::string(16, '\0') + std::string("\2\0\0\0\0\0\0\0", 8) + std::string("\0\0\0\0\xff\xff\xff\0", 8) +
            std::string("\xa5\0\0\0", 4);
  EXPECT_EQ(form(bitmap), "1-bit gray");
  const std::string strip = tiff(picture(4, 8, CV_8UC1), 1);
  EXPECT_EQ(form(strip), "8-bit gray");
  const auto with_number = [&](std::size_t entry, char value) {
    std::string changed = strip;
    changed[8 + 2 + 12 * entry + 8] = value;
    return changed;
  };
  EXPECT_EQ(form(with_number(2, 1)), "1-bit gray");     // BitsPerSample
  std::string two_samples = with_number(7, 2) + strip;  // SamplesPerPixel
  two_samples.replace(8 + 2 + 12 * 2 + 4, 8, std::string("\2\0\0\0\x08\0\x08\0", 8));
  two_samples[8 + 2 + 12 * 9 + 8] = 64;  // StripByteCounts
  EXPECT_EQ(form(two_samples), "8-bit gray with alpha");
}

TEST_F(Images, FurtherPicturesOfAJpegFileAreCounted) {
  write("x.jpg", picture(8, 8, CV_8UC1, 2));
  const std::string jpeg = bytes_of("x.jpg");
  // CIPA DC-007: an index behind the start of the first picture, with places counted from the index itself.
  const auto file = [&](const std::vector<std::uint32_t>& kinds, bool big, const std::string& other) {
    const auto number = [&](std::uint64_t value, int bytes) {
      std::string text;
      for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * (big ? bytes - 1 - i : i)));
      return text;
    };
    const auto count = static_cast<std::uint32_t>(kinds.size());
    const std::size_t index_bytes = 8 + 2 + 2 * 12 + 4 + 16 * kinds.size();
    std::string index = (big ? std::string("MM\0*", 4) : std::string("II*\0", 4)) + number(8, 4) + number(2, 2);
    index += number(0xb001, 2) + number(4, 2) + number(1, 4) + number(count, 4);
    index += number(0xb002, 2) + number(7, 2) + number(16 * count, 4) + number(8 + 2 + 2 * 12 + 4, 4) + number(0, 4);
    std::size_t place = index_bytes + jpeg.size() - 2;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      index += number(kinds[i], 4) + number(other.size(), 4) + number(i == 0 ? 0 : place, 4) + number(0, 4);
      if (i > 0) place += other.size();
    }
    std::string bytes = jpeg.substr(0, 2) + "\xff\xe2" + '\0' + static_cast<char>(2 + 4 + index_bytes) +
                        std::string("MPF\0", 4) + index + jpeg.substr(2);
    for (std::size_t i = 1; i < kinds.size(); ++i) bytes += other;
    return bytes;
  };
  const auto further = [](const std::string& bytes) { return decode_image({bytes.begin(), bytes.end()}, "x").further; };
  constexpr std::uint32_t kFirst = 0x030000, kThumbnail = 0x010001, kOtherEye = 0x020002, kUndefined = 0;
  EXPECT_EQ(further(jpeg), 0);
  for (const bool big : {false, true}) {
    EXPECT_EQ(further(file({kFirst}, big, jpeg)), 0);
    EXPECT_EQ(further(file({kFirst, kOtherEye}, big, jpeg)), 1);
    EXPECT_EQ(further(file({kFirst, kUndefined, kUndefined}, big, jpeg)), 2);
    EXPECT_EQ(further(file({kFirst, kThumbnail, kOtherEye}, big, jpeg)), 1);
  }
  EXPECT_EQ(further(file({kFirst, kOtherEye}, false, std::string(jpeg.size(), 'x'))), 0) << "it is not there";
  std::string gain_map = jpeg;
  gain_map.insert(2, std::string("\xff\xe1\0\x24", 4) + "http://ns.adobe.com/hdr-gain-map/1");
  EXPECT_EQ(further(file({kFirst, kUndefined}, false, gain_map)), 0) << "it says how bright the first one is";
}

TEST_F(Images, ChannelsAreMadeAsAsked) {
  const auto colour = write("x.png", cv::Mat(2, 2, CV_8UC3, cv::Scalar(30, 20, 10)));
  EXPECT_EQ(load(colour, 1).bytes[0], std::lround(0.299 * 10 + 0.587 * 20 + 0.114 * 30));
  const auto gray = write("y.png", cv::Mat(2, 2, CV_8UC1, cv::Scalar(7)));
  EXPECT_EQ(load(gray, 3).bytes, std::vector<std::uint8_t>(12, 7));
  ImageOptions options;
  EXPECT_EQ(channels_of(options, load(colour)), 3);
  EXPECT_EQ(channels_of(options, load(gray)), 1);
  EXPECT_EQ(channels_of(options, load(write("z.png", cv::Mat(2, 2, CV_8UC3, cv::Scalar(9, 9, 9))))), 1);
  options.channels = "gray";
  EXPECT_EQ(channels_of(options, load(colour)), 1);
}

// Every cut file is refused by name, silently on the error stream.
TEST_F(Images, CutFilesAreRefusedByName) {
  for (const char* name : {"x.png", "x.jpg", "x.bmp", "x.tif"}) {
    write(name, picture(40, 40, CV_8UC1));
    const std::string whole = bytes_of(name);
    testing::internal::CaptureStderr();
    for (std::size_t length = 0; length < whole.size(); length += 1 + whole.size() / 40) {
      if (std::string(name) == "x.jpg" && length + 2 >= whole.size()) continue;
      put(std::string("cut_") + name, whole.substr(0, length));
      EXPECT_THAT(error_of(root_ / (std::string("cut_") + name)), HasSubstr(name)) << length;
    }
    const std::string noise = testing::internal::GetCapturedStderr();
    if (std::string(name) != "x.tif") {
      EXPECT_EQ(noise, "");
    }
  }
  write("x.png", picture(40, 40, CV_8UC1));
  std::string damaged = bytes_of("x.png");
  damaged[damaged.size() / 2] = static_cast<char>(~damaged[damaged.size() / 2]);
  put("x.png", damaged);
  EXPECT_THAT(error_of(root_ / "x.png"), HasSubstr("checksum"));
}

TEST_F(Images, HostileSizesTakeNoMemory) {
  write("x.bmp", picture(4, 4, CV_8UC1));
  std::string bytes = bytes_of("x.bmp");
  for (const std::size_t at : {18, 22}) bytes.replace(at, 4, std::string("\0\0\1\0", 4));
  put("x.bmp", bytes);
  EXPECT_THAT(error_of(root_ / "x.bmp"), HasSubstr("65536 x 65536 pixels"));
  put("text.png", "GIF89a");
  EXPECT_THAT(error_of(root_ / "text.png"), HasSubstr("not an image"));
}

TEST_F(Images, ShrinkingAveragesAreas) {
  Geometry geometry;
  geometry.resize.scale = 0.5;
  Image image{1, 2, 4, PixelType::u8, {10, 20, 50, 60, 30, 40, 70, 80}};
  const Image half = resized(image, geometry);
  EXPECT_EQ(half.size(), (Size{1, 2}));
  EXPECT_EQ(half.bytes, (std::vector<std::uint8_t>{25, 65}));
  geometry.resize.scale = 1;
  EXPECT_EQ(resized(image, geometry).bytes, image.bytes);
}

TEST_F(Images, IdxLabelsChooseWhatIsTrainedOn) {
  const std::string images = std::string("\0\0\x08\3\0\0\0\3\0\0\0\2\0\0\0\2", 16) + "aaaabbbbcccc";
  put("t-images-idx3-ubyte", images);
  put("t-labels-idx1-ubyte", std::string("\0\0\x08\1\0\0\0\3\7\1\7", 11));
  ImageOptions options;
  options.normal = {"7"};
  const auto path = root_ / "t-images-idx3-ubyte";
  const auto training = ImageSource::open(path, options, Purpose::training);
  ASSERT_EQ(training->size(), 2);
  EXPECT_EQ(training->id(1), "2");
  EXPECT_EQ(training->load(1, 0).image.bytes, std::vector<std::uint8_t>(4, 'c'));
  const auto scoring = ImageSource::open(path, options, Purpose::scoring);
  ASSERT_EQ(scoring->size(), 3);
  EXPECT_EQ(scoring->label(1), "1");
  options.normal = {"5"};
  EXPECT_THROW(ImageSource::open(path, options, Purpose::training), UsageError);
  EXPECT_THROW(ImageSource::open(root_ / "t-labels-idx1-ubyte", options, Purpose::training), InputError);
  put("t-labels-idx1-ubyte", std::string("\0\0\x08\1\0\0\0\2\7\1", 10));
  EXPECT_THROW(ImageSource::open(path, options, Purpose::training), InputError);
}

TEST_F(Images, TilesOfWholeImagesAreHeldOut) {
  for (int i = 0; i < 8; ++i) {
    cv::Mat matrix(20, 30, CV_8UC1, cv::Scalar(10 * i));
    write("set/" + std::to_string(i) + ".png", matrix);
  }
  const auto data = dataset(R"({"path": "set", "tile": {"size": 16, "margin": 2}})");
  const auto& training = dynamic_cast<const model::ImageSamples&>(*data.training);
  const auto& held_out = dynamic_cast<const model::ImageSamples&>(*data.held_out);
  EXPECT_EQ(training.image_count(), 6);
  EXPECT_EQ(held_out.image_count(), 2);
  EXPECT_EQ(training.size(), 6 * 2 * 3);
  EXPECT_EQ(data.domain().grid, (std::vector<std::int64_t>{16, 16}));
  std::set<int> seen;
  for (const auto* samples : {&training, &held_out}) {
    for (std::int64_t i = 0; i < samples->image_count(); ++i) seen.insert(samples->image(i).bytes[0]);
  }
  EXPECT_EQ(seen.size(), 8u);
  // A sample is the same in whatever batch it comes.
  const auto all = training.range(0, training.size());
  EXPECT_TRUE(torch::equal(all.values[7], training.range(7, 8).values[0]));
  EXPECT_TRUE(torch::equal(training.batch({7, 3}).values[0], all.values[7]));
  EXPECT_EQ(data.data_sha256, dataset(R"({"path": "set", "tile": {"size": 16, "margin": 2}})").data_sha256);
  write("set/0.png", cv::Mat(20, 30, CV_8UC1, cv::Scalar(1)));
  EXPECT_NE(data.data_sha256, dataset(R"({"path": "set", "tile": {"size": 16, "margin": 2}})").data_sha256);
}

TEST_F(Images, ACacheChangesNothing) {
  for (int i = 0; i < 9; ++i) {
    const int type = i % 3 == 0 ? CV_16UC3 : i % 3 == 1 ? CV_8UC3 : CV_8UC1;
    write("set/" + std::to_string(i) + ".png", picture(15 + 3 * i, 40 - 2 * i, type, i));
  }
  put("set/bad.png", "no image");
  const std::string tiles = R"("tile": {"size": 20, "margin": 2}, "unreadable": "skip"})";
  expect_cache_changes_nothing(R"({"path": "set", )" + tiles);
  expect_cache_changes_nothing(R"({"path": "set", "channels": "gray", "resize": {"scale": 0.7}, )" + tiles);
  expect_cache_changes_nothing(R"({"path": "set", "resize": {"height": 12, "width": 9}, "unreadable": "skip"})");
  EXPECT_EQ(caches().size(), 3u);
}

TEST_F(Images, ACacheChangesNothingOfAStack) {
  std::string pixels(10 * 6 * 5, '\0');
  Random random(1);
  for (char& pixel : pixels) pixel = static_cast<char>(random.below(256));
  put("idx", std::string("\0\0\x08\3\0\0\0\xA\0\0\0\6\0\0\0\5", 16) + pixels);
  expect_cache_changes_nothing(R"({"path": "idx"})");
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 5, 5, 2), }";
  header.resize(117, ' ');
  std::vector<float> numbers(6 * 5 * 5 * 2);
  for (float& number : numbers) number = static_cast<float>(random.uniform());
  put("stack.npy", "\x93NUMPY\1" + std::string("\0\x76\0", 3) + header + "\n" +
                       std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float)));
  expect_cache_changes_nothing(R"({"path": "stack.npy"})");
  const auto data = dataset(R"({"path": "stack.npy"})", 0);
  const auto tile = data.training->range(1, 2).values;
  EXPECT_EQ(tile[0][1][2][3].item<float>(), numbers[((1 * 5 + 2) * 5 + 3) * 2 + 1]);
}

TEST_F(Images, OtherImagesOrSettingsAreOtherCaches) {
  SilentReporter reporter;
  const auto open = [&](const std::string& more, double held_out = 0.25) {
    dataset(R"({"path": "set")" + more + "}", reporter, held_out, true);
    return caches().size();
  };
  for (int i = 0; i < 5; ++i) write("set/" + std::to_string(i) + ".png", picture(20, 20, CV_8UC1, i));
  EXPECT_EQ(open(""), 1u);
  EXPECT_EQ(open(R"(, "augment": {"flip_vertical": true, "rotate": true})"), 1u);  // is done to what is drawn
  EXPECT_EQ(open(R"(, "channels": "rgb")"), 2u);
  EXPECT_EQ(open(R"(, "resize": {"scale": 0.5})"), 3u);
  EXPECT_EQ(open("", 0.5), 4u);
  write("set/3.png", picture(20, 20, CV_8UC1, 33));
  EXPECT_EQ(open(""), 5u);
  fs::rename(root_ / "set/4.png", root_ / "set/5.png");
  EXPECT_EQ(open(""), 6u);
  fs::remove(root_ / "set/2.png");
  EXPECT_EQ(open(""), 7u);
  EXPECT_EQ(open(""), 7u);
}

TEST_F(Images, ADamagedCacheIsMadeAgain) {
  for (int i = 0; i < 5; ++i) write("set/" + std::to_string(i) + ".png", picture(20, 20, CV_8UC1, i));
  SilentReporter silent;
  const auto data = dataset(R"({"path": "set"})", silent, 0.25, true);
  const auto path = caches().at(0);
  const std::string whole = read_file(path, FileKind::data);
  for (std::size_t at = 0; at < whole.size(); at += 61) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    write_file(path, damaged);
    RecordingReporter reporter;
    const auto again = dataset(R"({"path": "set"})", reporter, 0.25, true);
    ASSERT_THAT(reporter.warnings, testing::ElementsAre(HasSubstr("damaged"))) << at;
    EXPECT_EQ(read_file(path, FileKind::data), whole);
    EXPECT_EQ(again.data_sha256, data.data_sha256);
  }
}

TEST_F(Images, WhatCannotBeTrainedOnIsNotCached) {
  const auto error_with = [&](const std::string& settings) {
    SilentReporter reporter;
    return test::error_of([&] { dataset(settings, reporter, 0.25, true); });
  };
  write("set/a.png", picture(20, 20, CV_8UC1));
  write("set/b.png", picture(20, 21, CV_8UC1));
  for (const std::string settings :
       {R"({"path": "set"})", R"({"path": "nothing"})", R"({"path": "set/b.png", "augment": {"rotate": true}})"}) {
    EXPECT_NE(dataset_error(settings), "no error");
    EXPECT_EQ(error_with(settings), dataset_error(settings));
  }
  EXPECT_FALSE(fs::exists(root_ / "cache") && !caches().empty());
  EXPECT_EQ(error_with(R"({"path": "set/b.png"})"), "no error");
  const std::string rotated = R"({"path": "set/b.png", "augment": {"rotate": true}})";
  EXPECT_EQ(error_with(rotated), dataset_error(rotated));  // also when the images are found
}

TEST_F(Images, AugmentedTilesAreTurnedOrMovedOnes) {
  write("set/0.png", picture(24, 24, CV_8UC1, 2));
  const auto turned =
      dataset(R"({"path": "set", "augment": {"flip_horizontal": true, "flip_vertical": true, "rotate": true}})", 0);
  const auto original = turned.training->range(0, 1).values;
  std::set<int> found;
  for (int seed = 0; seed < 60; ++seed) {
    torch::manual_seed(static_cast<std::uint64_t>(seed));
    const auto drawn = turned.training->batch({0}).values;
    torch::manual_seed(static_cast<std::uint64_t>(seed));
    EXPECT_TRUE(torch::equal(drawn, turned.training->batch({0}).values));
    for (int symmetry = 0; symmetry < 8; ++symmetry) {
      auto image = torch::rot90(original, symmetry % 4, {2, 3});
      if (symmetry >= 4) image = image.flip({3});
      if (torch::equal(image, drawn)) found.insert(symmetry);
    }
  }
  EXPECT_EQ(found.size(), 8u);  // the symmetries of the square
  EXPECT_TRUE(torch::equal(turned.training->range(0, 1).values, original));

  const auto moved = dataset(R"({"path": "set", "tile": {"size": 8}, "augment": {"shift": 3}})", 0);
  const auto tile = moved.training->batch({4}).values;
  bool matches = false;
  for (std::int64_t y = 5; y <= 11; ++y) {
    for (std::int64_t x = 5; x <= 11; ++x) {
      matches = matches || torch::equal(original.narrow(2, y, 8).narrow(3, x, 8), tile);
    }
  }
  EXPECT_TRUE(matches);
}

TEST_F(Images, WhatCannotBeTrainedOnIsNamed) {
  write("set/a.png", picture(20, 20, CV_8UC1));
  write("set/b.png", picture(20, 21, CV_8UC1));
  EXPECT_THAT(dataset_error(R"({"path": "set"})"), HasSubstr("b.png: is 20 x 21 pixels, the first image is 20 x 20"));
  EXPECT_EQ(dataset_error(R"({"path": "set", "resize": {"height": 16, "width": 16}})"), "no error");
  EXPECT_EQ(dataset_error(R"({"path": "set", "tile": {"size": 64}})"), "no error");  // smaller images are continued
  put("set/c.png", "no image");
  EXPECT_THAT(dataset_error(R"({"path": "set", "tile": {"size": 16}})"), HasSubstr("c.png: not an image"));
  EXPECT_EQ(dataset_error(R"({"path": "set", "tile": {"size": 16}, "unreadable": "skip"})"), "no error");
  put("bad/c.png", "no image");
  EXPECT_THAT(dataset_error(R"({"path": "bad", "unreadable": "skip"})"), HasSubstr("no readable image"));
  EXPECT_THAT(dataset_error(R"({"path": "set/a.png", "normal": "good"})"), HasSubstr("/data/normal"));
}

}  // namespace
}  // namespace ae::data::images_test
