#include "evaluate/pixel_maps.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/recognise.hpp"
#include "data/tables/rows.hpp"
#include "evaluate/bmp_mask.hpp"

namespace ae::evaluate {
namespace {

constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n";
constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;
constexpr std::uint64_t kMostFileBytes = std::uint64_t{1} << 30;
constexpr std::size_t kMostPngMemory = std::size_t{1} << 30;

std::string size_text(std::int64_t width, std::int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height) + " pixels";
}

// Calls add(value) for each element, row by row, and returns width and height.
template <typename Add>
std::pair<std::int64_t, std::int64_t> read_npy(const std::filesystem::path& path, Add add) {
  const auto rows = data::open_rows(path, {.type = "npy"});
  const std::size_t width = rows->columns().size();
  std::int64_t height = 0;
  while (rows->next()) {
    if (++height * static_cast<std::int64_t>(width) > kMostPixels)
      throw InputError(rows->name() + ": more than " + std::to_string(kMostPixels) +
                       " pixels; cut the image into tiles");
    for (std::size_t x = 0; x < width; ++x) {
      if (add(rows->number(x))) continue;
      throw InputError(rows->name() + ": row " + std::to_string(height - 1) + ", column " + std::to_string(x) + " is " +
                       number_text(rows->number(x)) + "; expected a finite number in every pixel");
    }
  }
  if (height == 0) throw InputError(rows->name() + ": the array has no pixels");
  return {static_cast<std::int64_t>(width), height};
}

// --- PNG -------------------------------------------------------------------------------------------------------------

// libpng reports errors by longjmp, which must not leave a scope with a destructor behind: everything that it may jump
// over lives here, outside of the functions that call it.
struct PngReading {
  std::string_view rest;
  std::string problem;
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::vector<png_byte> row;
  DefectMask mask;

  ~PngReading() { png_destroy_read_struct(&png, &info, nullptr); }
};

extern "C" {
void on_png_error(png_structp png, png_const_charp message) {
  static_cast<PngReading*>(png_get_error_ptr(png))->problem = message ? message : "";
  png_longjmp(png, 1);
}
void on_png_warning(png_structp, png_const_charp) {}
void give_png_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto& rest = static_cast<PngReading*>(png_get_io_ptr(png))->rest;
  if (count > rest.size()) png_error(png, "the file ends too early");
  std::memcpy(to, rest.data(), count);
  rest.remove_prefix(count);
}
}

// Sets `problem` and returns false when the size is not to be trusted with memory.
bool accept_size(PngReading& reading, std::size_t file_bytes) {
  const std::int64_t width = png_get_image_width(reading.png, reading.info);
  const std::int64_t height = png_get_image_height(reading.png, reading.info);
  // Deflate makes at most 1032 bytes of one.
  const std::uint64_t plain_bytes = static_cast<std::uint64_t>(height) * png_get_rowbytes(reading.png, reading.info);
  if (width * height > kMostPixels) {
    reading.problem = size_text(width, height) + ", expected at most " + std::to_string(kMostPixels);
  } else if (plain_bytes / 1032 > file_bytes) {
    reading.problem = "the file is too short for " + size_text(width, height);
  } else {
    reading.mask.width = width;
    reading.mask.height = height;
    return true;
  }
  return false;
}

void mark_row(PngReading& reading, std::int64_t y, std::size_t bytes_a_pixel) {
  std::uint8_t* const defect = reading.mask.defect.data() + y * reading.mask.width;
  const png_byte* pixel = reading.row.data();
  for (std::int64_t x = 0; x < reading.mask.width; ++x, pixel += bytes_a_pixel)
    for (std::size_t byte = 0; byte < bytes_a_pixel; ++byte) defect[x] |= pixel[byte] != 0;
}

// Reads the header; false on an error.
bool begin_png(PngReading& reading) {
  if (setjmp(png_jmpbuf(reading.png))) return false;
  png_set_read_fn(reading.png, &reading, give_png_bytes);
  png_set_chunk_malloc_max(reading.png, kMostPngMemory);
  png_set_user_limits(reading.png, 1u << 28, 1u << 28);
  png_read_info(reading.png, reading.info);
  return true;
}

bool set_png_transforms(PngReading& reading, int& passes) {
  if (setjmp(png_jmpbuf(reading.png))) return false;
  const auto kind = png_get_color_type(reading.png, reading.info);
  if (kind == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(reading.png);
  if (kind == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(reading.png);
  png_set_strip_alpha(reading.png);
  passes = png_set_interlace_handling(reading.png);
  png_read_update_info(reading.png, reading.info);
  return true;
}

// Every pass of an interlaced file gives only its own pixels; the others of a row stay 0, which marks nothing.
bool read_png_rows(PngReading& reading, int passes) {
  const std::size_t bytes_a_pixel = static_cast<std::size_t>(png_get_channels(reading.png, reading.info)) *
                                    png_get_bit_depth(reading.png, reading.info) / 8;
  if (setjmp(png_jmpbuf(reading.png))) return false;
  for (int pass = 0; pass < passes; ++pass) {
    for (std::int64_t y = 0; y < reading.mask.height; ++y) {
      std::memset(reading.row.data(), 0, reading.row.size());
      png_read_row(reading.png, reading.row.data(), nullptr);
      mark_row(reading, y, bytes_a_pixel);
    }
  }
  png_read_end(reading.png, nullptr);
  return true;
}

bool read_png(PngReading& reading, std::size_t file_bytes) {
  int passes = 1;
  if (!begin_png(reading) || !accept_size(reading, file_bytes) || !set_png_transforms(reading, passes)) return false;
  reading.mask.defect.resize(static_cast<std::size_t>(reading.mask.width * reading.mask.height));
  reading.row.resize(png_get_rowbytes(reading.png, reading.info));
  return read_png_rows(reading, passes);
}

}  // namespace

namespace {

DefectMask decode_png_mask(std::string_view bytes, const std::string& name) {
  PngReading reading;
  reading.rest = bytes;
  reading.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, on_png_error, on_png_warning);
  if (reading.png) reading.info = png_create_info_struct(reading.png);
  if (!reading.info) throw std::bad_alloc();
  if (!read_png(reading, bytes.size()))
    throw InputError(name + ": cannot be read as PNG: " + printable(reading.problem) + "; write the mask again");
  return std::move(reading.mask);
}

InputError no_mask(std::string_view bytes, const std::string& name) {
  const data::FileType* type = data::recognise(bytes);
  const std::string found = bytes.empty() ? "the file is empty"
                            : type        ? "found " + std::string(type->what)
                                          : "of no known kind";
  return InputError(name + ": " + found +
                    "; expected a mask as PNG, BMP or NPY, in which 0 is good and everything else is defect");
}

}  // namespace

DefectMask decode_mask(std::string_view bytes, const std::string& name) {
  if (bytes.starts_with(kPngMagic)) return decode_png_mask(bytes, name);
  if (bytes.starts_with(kBmpMagic)) return decode_bmp_mask(bytes, name);
  throw no_mask(bytes, name);
}

PixelMap read_pixel_map(const std::filesystem::path& path) {
  PixelMap map;
  std::tie(map.width, map.height) = read_npy(path, [&](double value) {
    map.values.push_back(static_cast<float>(value));
    return std::isfinite(map.values.back());
  });
  return map;
}

DefectMask read_defect_mask(const std::filesystem::path& path) {
  const std::string bytes = read_file(path, FileKind::data, kMostFileBytes);
  if (!data::begins_npy(bytes)) return decode_mask(bytes, path.string());
  DefectMask mask;
  std::tie(mask.width, mask.height) = read_npy(path, [&](double value) {
    mask.defect.push_back(value != 0);
    return std::isfinite(value);
  });
  return mask;
}

DefectMask read_defect_masks(std::span<const std::filesystem::path> paths) {
  DefectMask all = read_defect_mask(paths.front());
  for (const auto& path : paths.subspan(1)) {
    const DefectMask mask = read_defect_mask(path);
    if (mask.width != all.width || mask.height != all.height) {
      throw InputError(path.string() + ": is " + size_text(mask.width, mask.height) + ", but " +
                       paths.front().string() + ", a mask of the same image, is " + size_text(all.width, all.height));
    }
    for (std::size_t i = 0; i < mask.defect.size(); ++i) all.defect[i] |= mask.defect[i];
  }
  return all;
}

}  // namespace ae::evaluate
