// Images of any source, one after another, in a stable order: the config section "/data" of images, and their reader.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/images/geometry.hpp"
#include "data/images/image.hpp"
#include "data/images/image_files.hpp"
#include "data/options.hpp"

namespace ae::data {

// What is done to a training tile each time it is drawn; scoring never does it.
struct AugmentOptions : config::Section {
  bool flip_horizontal = false;
  bool flip_vertical = false;
  bool rotate = false;
  std::int64_t shift = 0;
  void fields(config::Fields& f) override;
  bool any() const { return flip_horizontal || flip_vertical || rotate || shift > 0; }
};

// The config section "/data" of images.
struct ImageOptions : DataOptions {
  std::string channels = "auto";
  std::string array;
  config::Path labels;
  std::vector<std::string> normal;
  std::string unreadable = "stop";
  ResizeOptions resize;
  TileOptions tile;
  AugmentOptions augment;
  void fields(config::Fields& f) override;
  bool skips_unreadable() const { return unreadable == "skip"; }
};

struct LoadedImage {
  Image image;
  std::string form;          // in its file: "8-bit gray", "16-bit RGB with alpha"
  std::int64_t further = 0;  // pages, frames or pictures behind the first, which are not looked at
};

// Images by number, 0 to size() - 1. What they mean is told by content (IDX and NPY files, also compressed, and NPZ
// archives) or by list_image_files(). Files are decoded when they are loaded. Of IDX and NPY files the image is read
// then, too; the pixels of compressed ones, of NPZ archives and of NPY types that must be converted are held in memory.
class ImageSource {
 public:
  // InputError when nothing is found or a whole file of images is malformed, UsageError for options that do not fit.
  // Training, and that of classes, take only images whose label is one of options.normal, when that is given; scoring
  // takes all.
  static std::unique_ptr<ImageSource> open(const std::filesystem::path& path, const ImageOptions& options,
                                           Purpose purpose);
  virtual ~ImageSource() = default;

  virtual std::int64_t size() const = 0;
  virtual std::string id(std::int64_t i) const = 0;     // relative path with "/", or the 0-based number in the stack
  virtual std::string label(std::int64_t i) const = 0;  // "" when it has none
  virtual bool has_labels() const = 0;
  virtual std::vector<std::filesystem::path> files() const = 0;  // that hold the pixels: one an image, or one for all
  virtual const ImageNotes& notes() const = 0;

  // Full size, with `channels` channels: 3 from 1 repeats gray, 1 from 3 weighs red, green, blue by 0.299, 0.587,
  // 0.114; 0 keeps what is there, without alpha. An unreadable file is an InputError that names it; the caller decides
  // whether to go on.
  LoadedImage load(std::int64_t i, std::int64_t channels) const;

 protected:
  virtual LoadedImage load_as_is(std::int64_t i) const = 0;
  virtual std::string place(std::int64_t i) const = 0;  // for messages
};

// What options.channels means for these images: 1 or 3 as asked; "auto" looks at one image: 1 when it is gray or all
// its channels are equal, else as many as it has.
std::int64_t channels_of(const ImageOptions& options, const Image& image);

// Decodes the bytes of a PNG, JPEG, BMP or TIFF file, upright (Exif's orientation, and TIFF's), and colours as they are
// seen before black; `name` for messages. Sizes are checked before memory is taken.
LoadedImage decode_image(const std::vector<std::uint8_t>& bytes, const std::string& name);

// The image at its network size: by areas when shrinking, bilinear when enlarging.
Image resized(const Image& image, const Geometry& geometry);

}  // namespace ae::data
