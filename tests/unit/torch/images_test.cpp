#include "data/images/images.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

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
#include "support/errors.hpp"
#include "support/temporary_folder.hpp"

namespace ae::data {
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
    return ImageSource::open(path, {}, Purpose::scoring)->load(0, channels);
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

TEST_F(Images, JpegIsNearAndAlphaIsLeftOut) {
  const cv::Mat flat(16, 16, CV_8UC3, cv::Scalar(20, 120, 220));
  const auto floats = to_floats(load(write("x.jpg", flat)));
  EXPECT_NEAR(floats[0], 220 / 255.0, 0.02);
  EXPECT_NEAR(floats[2 * 256], 20 / 255.0, 0.02);
  EXPECT_EQ(load(write("x.png", picture(4, 4, CV_8UC4))).channels, 3);
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
  EXPECT_EQ(training->load(1, 0).bytes, std::vector<std::uint8_t>(4, 'c'));
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
}  // namespace ae::data
