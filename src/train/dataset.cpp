#include "train/dataset.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "data/images.hpp"
#include "data/row_selection.hpp"
#include "data/table_cache.hpp"
#include "model/image_samples.hpp"

namespace ae::train {
namespace {

template <typename T>
std::unique_ptr<data::DataOptions> make() {
  return std::make_unique<T>();
}

constexpr std::array<config::Entry<data::DataOptions>, 2> kDataKinds{{
    {"table", "Rows of a table: CSV, TSV, NPY or NPZ.", make<data::TableOptions>},
    {"images", "Images: PNG, JPEG, BMP and TIFF files, IDX, NPY and NPZ stacks.", make<data::ImageOptions>},
}};

class ImageLoader {
 public:
  ImageLoader(const data::ImageOptions& options, Reporter& reporter, data::HoldOut hold_out)
      : options_(options),
        reporter_(reporter),
        source_(data::ImageSource::open(data::file_of(options.path), options, data::Purpose::training)),
        held_out_(choose_held_out(source_->size(), hold_out)) {}

  Dataset load() {
    for (std::int64_t i = 0; i < source_->size(); ++i) {
      throw_if_stopped("reading images");
      read(i);
      reporter_.progress("images", static_cast<std::uint64_t>(i + 1), static_cast<std::uint64_t>(source_->size()));
    }
    reporter_.progress_done();
    if (!training_ || training_->size() == 0) {
      throw InputError(options_.path.written + ": no readable image is left to train on");
    }
    if (smaller_ > 0) {
      reporter_.info(std::to_string(smaller_) + " of " + std::to_string(source_->size()) +
                     " images are smaller than a tile; what a tile has beyond them counts for nothing");
    }
    return {model::image_domain(geometry_),
            std::move(training_),
            std::move(held_out_samples_),
            {},
            std::make_optional<data::Geometry>(geometry_),
            {},
            hash_.hex()};
  }

 private:
  static std::vector<bool> choose_held_out(std::int64_t count, data::HoldOut hold_out) {
    const auto wanted = std::llround(hold_out.fraction * static_cast<double>(count));
    const auto held = std::clamp<std::int64_t>(wanted, 0, count - 1);
    const auto order = permutation(count, Random(stream_key(hold_out.seed, "held-out images")));
    std::vector<bool> chosen(static_cast<std::size_t>(count), false);
    for (std::int64_t i = 0; i < held; ++i) chosen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
    return chosen;
  }

  void read(std::int64_t i) {
    data::Image image;
    try {
      image = source_->load(i, training_ ? geometry_.channels : 0);
      if (!training_) image = begin_with(i, std::move(image));
    } catch (const InputError& error) {
      if (!options_.skips_unreadable()) throw;
      reporter_.warning("left out: " + error.lines().front());
      return;
    }
    const data::Size original = image.size();
    image = data::resized(image, geometry_);
    const auto tile = geometry_.tile_size(image.size());
    if (!geometry_.tiled() && (tile.height != geometry_.height || tile.width != geometry_.width)) {
      throw InputError(source_->id(i) + ": is " + data::size_text(image.size()) + " pixels, the first image is " +
                       data::size_text({geometry_.height, geometry_.width}) +
                       "; set /data/tile/size to cut images into tiles, or /data/resize/height and width");
    }
    if (image.height < tile.height || image.width < tile.width) ++smaller_;
    hash_.update(source_->id(i) + '\0' + data::size_text(image.size()) + '\0');
    hash_.update({reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size()});
    (held_out_[static_cast<std::size_t>(i)] ? held_out_samples_ : training_)->add(std::move(image), original);
  }

  // The first readable image decides what is left open: channels and, without tiles, the size.
  data::Image begin_with(std::int64_t i, data::Image image) {
    geometry_.resize = options_.resize;
    geometry_.tile = options_.tile;
    geometry_.channels = data::channels_of(options_, image);
    if (geometry_.channels != image.channels) image = source_->load(i, geometry_.channels);
    const auto sample = geometry_.tile_size(geometry_.network_size(image.size()));
    geometry_.height = sample.height;
    geometry_.width = sample.width;
    if (options_.augment.rotate && sample.height != sample.width) {
      throw UsageError("/data/augment/rotate: needs square samples, these are " + data::size_text(sample) +
                       "; set /data/tile/size, or /data/resize/height and width to the same number");
    }
    training_ = std::make_unique<model::ImageSamples>(geometry_, options_.augment);
    held_out_samples_ = std::make_unique<model::ImageSamples>(geometry_, options_.augment);
    return image;
  }

  const data::ImageOptions& options_;
  Reporter& reporter_;
  std::unique_ptr<data::ImageSource> source_;
  std::vector<bool> held_out_;
  data::Geometry geometry_;
  std::unique_ptr<model::ImageSamples> training_;  // from the first readable image on
  std::unique_ptr<model::ImageSamples> held_out_samples_;
  std::int64_t smaller_ = 0;
  Sha256 hash_;
};

void check_enough(const data::TableOptions& options, std::int64_t training, std::int64_t held_out) {
  if (training >= 2) return;
  const auto rows = training + held_out;
  const auto found = rows == 1 ? "only one row" : "only one of " + std::to_string(rows) + " rows";
  throw InputError(options.path.written + ": " + found +
                   " to train on; at least two are needed to tell what varies among normal rows: give more rows" +
                   (rows > 1 ? ", or lower /training/validation_fraction" : ""));
}

Dataset cached(const data::TableOptions& options, Reporter& reporter, data::HoldOut hold_out) {
  data::CachedTable table = data::open_cached_table(options, reporter, hold_out);
  check_enough(options, table.training.rows, table.held_out.rows);
  const auto samples = [&](const data::MappedRows& rows) {
    return std::make_unique<model::TableSamples>(
        model::mapped_batch(rows.values, rows.observed, rows.rows, table.elements, table.file));
  };
  return {model::elements_of(table.schema),
          samples(table.training),
          samples(table.held_out),
          std::move(table.schema),
          std::nullopt,
          {table.training.row_numbers, table.training.row_numbers + table.training.rows},
          table.data_sha256};
}

}  // namespace

std::span<const config::Entry<data::DataOptions>> data_kinds() { return kDataKinds; }

Dataset load_dataset(const data::DataOptions& options, Reporter& reporter, data::HoldOut hold_out) {
  if (const auto* images = dynamic_cast<const data::ImageOptions*>(&options)) {
    return ImageLoader(*images, reporter, hold_out).load();
  }
  const auto& table_options = dynamic_cast<const data::TableOptions&>(options);
  if (!table_options.cache.empty()) return cached(table_options, reporter, hold_out);
  data::Table table = data::load_table(table_options, reporter, hold_out);
  check_enough(table_options, table.training.rows, table.held_out.rows);
  return {model::elements_of(table.schema),
          std::make_unique<model::TableSamples>(table.training),
          std::make_unique<model::TableSamples>(table.held_out),
          std::move(table.schema),
          std::nullopt,
          std::move(table.training.row_numbers),
          table.data_sha256};
}

}  // namespace ae::train
