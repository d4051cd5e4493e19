#include "data/images/image_cache.hpp"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <type_traits>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "config/document.hpp"
#include "data/bytes/cache_file.hpp"

namespace ae::data {
namespace {

namespace fs = std::filesystem;

enum Section { pixels, records, section_count };

struct Record {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t original_height = 0;
  std::int64_t original_width = 0;
  std::int32_t type = 0;
  std::int32_t held_out = 0;
  std::int64_t number = 0;
};
static_assert(sizeof(Record) == 48 && std::is_trivially_copyable_v<Record>);

class PixelWriter final : public ImageTaker {
 public:
  explicit PixelWriter(CacheFile::Writer& to) : to_(to) {}
  void take(Image image, Size original, bool held_out, std::int64_t number) override {
    to_.add(pixels, image.bytes.data(), image.bytes.size());
    records_.push_back({image.height, image.width, original.height, original.width,
                        static_cast<std::int32_t>(image.type), held_out ? 1 : 0, number});
  }
  void finish() { to_.add(records, records_.data(), records_.size() * sizeof(Record)); }

 private:
  CacheFile::Writer& to_;
  std::vector<Record> records_;
};

class Holder final : public ImageTaker {
 public:
  void take(Image image, Size original, bool held_out, std::int64_t number) override {
    const auto held = std::make_shared<const Image>(std::move(image));
    images.push_back({*held, original, held_out, number, held});
  }
  std::vector<PreparedImage> images;
};

// Everything that decides what is in the file.
std::string key_of(const ImageOptions& options, const ImageSource& source, const std::vector<fs::path>& files,
                   HoldOut hold_out, Reporter& reporter) {
  ImageOptions meaning = options;
  meaning.cache = meaning.path = meaning.labels = {};
  meaning.augment = {};
  Sha256 content;
  for (std::int64_t i = 0; i < source.size(); ++i) content.update(source.id(i) + '\0');
  for (std::size_t i = 0; i < files.size(); ++i) {
    throw_if_stopped("reading images");
    reporter.progress("files", i, files.size());
    try {
      content.update(sha256_of_file(files[i]));
    } catch (const InputError& error) {
      content.update(error.lines().front() + '\0');
    }
  }
  reporter.progress_done();
  return cache_key("distinct held-out numbered image", meaning, file_of(options.path), hold_out, content.hex());
}

}  // namespace

PreparedImages hold_images(Reporter& reporter, const PrepareImages& prepare) {
  Holder holder;
  ImageSummary summary = prepare(holder, reporter);
  return {std::move(summary), std::move(holder.images)};
}

PreparedImages open_cached_images(const ImageOptions& options, const ImageSource& source, HoldOut hold_out,
                                  Reporter& reporter, const PrepareImages& prepare) {
  const auto files = source.files();
  const Unchanged data(files);
  const auto make = [&](CacheFile::Writer& writer, Reporter& recorder) {
    PixelWriter images(writer);
    ImageSummary summary = prepare(images, recorder);
    images.finish();
    data.check();
    const auto geometry = config::to_json(summary.geometry, config::Paths::as_written);
    return CacheFile::Json{
        {"geometry", CacheFile::Json::parse(geometry)}, {"sha256", summary.data_sha256}, {"forms", summary.forms}};
  };
  const auto file = CacheFile::open(file_of(options.cache), key_of(options, source, files, hold_out, reporter),
                                    section_count, reporter, make);
  PreparedImages prepared;
  config::read_text(prepared.summary.geometry, file->description().at("geometry").dump(), "geometry", {});
  prepared.summary.data_sha256 = file->description().at("sha256").get<std::string>();
  prepared.summary.forms = file->description().at("forms").get<std::vector<std::string>>();
  const auto count = file->section(records).size() / sizeof(Record);
  const Record* record = file->array<Record>(records, static_cast<std::int64_t>(count));
  std::string_view left = file->section(pixels);
  prepared.images.reserve(count);
  for (std::size_t i = 0; i < count; ++i, ++record) {
    const ImageView view(prepared.summary.geometry.channels, {record->height, record->width},
                         static_cast<PixelType>(record->type), reinterpret_cast<const std::uint8_t*>(left.data()));
    if (view.byte_count() > left.size()) file->throw_unfit();
    left.remove_prefix(view.byte_count());
    prepared.images.push_back(
        {view, {record->original_height, record->original_width}, record->held_out != 0, record->number, file});
  }
  if (!left.empty()) file->throw_unfit();
  return prepared;
}

}  // namespace ae::data
