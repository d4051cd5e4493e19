#include "recipe/image_kind.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "config/document.hpp"
#include "data/images/image_cache.hpp"
#include "model/image_samples.hpp"
#include "model/threads.hpp"
#include "recipe/classes.hpp"
#include "recipe/good_images.hpp"
#include "recipe/makers.hpp"

namespace ae::recipe {
namespace {

void check_rotation(const data::ImageOptions& options, const data::Geometry& geometry) {
  if (!options.augment.rotate || geometry.height == geometry.width) return;
  throw UsageError("/data/augment/rotate: needs square samples, these are " +
                   data::size_text({geometry.height, geometry.width}) +
                   "; set /data/tile/size, or /data/resize/height and width to the same number");
}

std::vector<bool> choose_held_out(std::int64_t count, data::HoldOut hold_out) {
  const auto wanted = std::llround(hold_out.fraction * static_cast<double>(count));
  const auto held = std::clamp<std::int64_t>(wanted, 0, count - 1);
  const auto order = permutation(count, Random(stream_key(hold_out.seed, "held-out images")));
  std::vector<bool> chosen(static_cast<std::size_t>(count), false);
  for (std::int64_t i = 0; i < held; ++i) chosen[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
  return chosen;
}

// Decodes the images of a source, one after another.
class ImageLoader {
 public:
  ImageLoader(const data::ImageOptions& options, const data::ImageSource& source, data::HoldOut hold_out,
              data::ImageTaker& taker, Reporter& reporter, int threads)
      : options_(options),
        source_(source),
        held_out_(choose_held_out(source.size(), hold_out)),
        taker_(taker),
        reporter_(reporter),
        crew_(threads) {}

  data::ImageSummary load() {
    constexpr std::int64_t kAheadOfEachThread = 2;
    std::vector<Decoded> decoded;
    for (std::int64_t i = 0; i < source_.size(); i += std::ssize(decoded)) {
      throw_if_stopped("reading images");
      const std::int64_t count = begun_ ? std::min(kAheadOfEachThread * crew_.size(), source_.size() - i) : 1;
      decoded.assign(static_cast<std::size_t>(count), {});
      crew_.share_out(count, [&](std::int64_t d, int) { decode(i + d, decoded[static_cast<std::size_t>(d)]); });
      for (std::int64_t d = 0; d < count; ++d) take(i + d, std::move(decoded[static_cast<std::size_t>(d)]));
      reporter_.progress("images", static_cast<std::uint64_t>(i + count), static_cast<std::uint64_t>(source_.size()));
    }
    reporter_.progress_done();
    if (!further_.empty()) reporter_.warning(further_text(further_));
    if (training_ == 0 && repeated_ > 0)
      throw InputError(options_.path.written + ": all images are identical, and none is left to train on beside the " +
                       "one that is held out; set /training/validation_fraction to 0 to train on it");
    if (training_ == 0) throw InputError(options_.path.written + ": no readable image is left to train on");
    if (repeated_ > 0)
      reporter_.info(
          std::to_string(repeated_) +
          (repeated_ == 1 ? " image is identical to an earlier one" : " images are identical to earlier ones") +
          "; identical images are held out together, and p-values count them once");
    if (smaller_ > 0) {
      reporter_.info(std::to_string(smaller_) + " of " + std::to_string(source_.size()) +
                     " images are smaller than a tile; what a tile has beyond them counts for nothing");
    }
    if (forms_.size() > 1) {
      std::vector<std::string> counts;
      for (const auto& [form, count] : forms_) counts.push_back(std::to_string(count) + " " + form);
      reporter_.info("the images are of several forms: " + join(counts));
    }
    data::ImageSummary summary{geometry_, hash_.hex(), {}};
    for (const auto& [form, count] : forms_) summary.forms.push_back(form);
    return summary;
  }

 private:
  struct Decoded {
    data::LoadedImage loaded;  // at its network size
    data::Size original;
    std::optional<InputError> error;  // instead
  };

  // From any thread, but for the first readable image.
  void decode(std::int64_t i, Decoded& decoded) {
    try {
      decoded.loaded = source_.load(i, begun_ ? geometry_.channels : 0);
      auto& image = decoded.loaded.image;
      if (!begun_) image = begin_with(i, std::move(image));
      decoded.original = image.size();
      image = data::resized(image, geometry_);
    } catch (const InputError& error) {
      decoded.error = error;
    }
  }

  void take(std::int64_t i, Decoded decoded) {
    if (decoded.error) {
      if (!options_.skips_unreadable()) throw InputError(*decoded.error);
      reporter_.warning("left out: " + decoded.error->lines().front());
      return;
    }
    data::Image& image = decoded.loaded.image;
    ++forms_[decoded.loaded.form];
    if (decoded.loaded.further > 0) further_.push_back(source_.id(i));
    const auto tile = geometry_.tile_size(image.size());
    if (!geometry_.tiled() && (tile.height != geometry_.height || tile.width != geometry_.width)) {
      throw InputError(source_.id(i) + ": is " + data::size_text(image.size()) + " pixels, the first image is " +
                       data::size_text({geometry_.height, geometry_.width}) +
                       "; set /data/tile/size to cut images into tiles, or /data/resize/height and width");
    }
    if (image.height < tile.height || image.width < tile.width) ++smaller_;
    hash_.update(source_.id(i) + '\0' + data::size_text(image.size()) + '\0');
    hash_.update({reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size()});
    const auto [first, is_first] =
        held_out_by_pixels_.try_emplace(pixels_key(image), held_out_[static_cast<std::size_t>(i)]);
    const bool held_out = first->second;
    if (!is_first) ++repeated_;
    if (held_out && !is_first) return;
    if (!held_out) ++training_;
    taker_.take(std::move(image), decoded.original, held_out, i);
  }

  // Of n images two that differ are taken for identical with probability n^2 / 2^65.
  static std::size_t pixels_key(const data::Image& image) {
    const std::string_view pixels(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
    return std::hash<std::string_view>{}(pixels) ^ Random(static_cast<std::uint64_t>(image.width)).bits();
  }

  // The first readable image decides what is left open: channels and, without tiles, the size.
  data::Image begin_with(std::int64_t i, data::Image image) {
    geometry_.resize = options_.resize;
    geometry_.tile = options_.tile;
    geometry_.channels = data::channels_of(options_, image);
    if (geometry_.channels != image.channels) image = source_.load(i, geometry_.channels).image;
    const auto sample = geometry_.tile_size(geometry_.network_size(image.size()));
    geometry_.height = sample.height;
    geometry_.width = sample.width;
    check_rotation(options_, geometry_);
    begun_ = true;
    return image;
  }

  const data::ImageOptions& options_;
  const data::ImageSource& source_;
  std::vector<bool> held_out_;
  data::ImageTaker& taker_;
  Reporter& reporter_;
  model::Crew crew_;
  bool begun_ = false;  // the geometry is known
  data::Geometry geometry_;
  std::int64_t training_ = 0;
  std::int64_t smaller_ = 0;
  // Whether the first image of such pixels is held out: what one copy was trained on is not new in another.
  std::unordered_map<std::size_t, bool> held_out_by_pixels_;
  std::int64_t repeated_ = 0;  // images that are identical to earlier ones
  std::map<std::string, std::int64_t> forms_;
  std::vector<std::string> further_;  // ids of images with more than was read
  Sha256 hash_;
};

// A damaged file must not make us take absurd amounts of memory for a tile.
void check_geometry(const data::Geometry& geometry) {
  constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;
  if (geometry.height > 0 && geometry.width > 0 && geometry.height * geometry.width <= kMostPixels) return;
  throw InputError("metadata \"geometry\" describes samples of " + data::size_text({geometry.height, geometry.width}) +
                   " pixels; the file is damaged");
}

// Models of older versions do not tell.
std::vector<std::string> read_forms(const Metadata& metadata) {
  const auto found = metadata.find("image_forms");
  if (found == metadata.end()) return {};
  const auto json = nlohmann::json::parse(found->second, nullptr, false);
  const auto is_text = [](const auto& form) { return form.is_string(); };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_text)) {
    throw InputError("metadata \"image_forms\" is no list of texts; the file is damaged");
  }
  return json.get<std::vector<std::string>>();
}

class ImageKindOptions final : public KindOptionsOf<data::ImageOptions> {
 public:
  Dataset load(Reporter& reporter, data::HoldOut hold_out, int threads) const override {
    const auto source = data::ImageSource::open(data::file_of(data().path), data(), data::Purpose::training);
    return load(*source, reporter, hold_out, threads, nullptr);
  }

  Dataset load_classes(Reporter& reporter, data::HoldOut hold_out, int threads) const override {
    const data::ImageOptions& options = data();
    if (!options.normal.empty())
      throw UsageError(
          "/data/normal: tells good images from others, and a classifier learns all classes; leave it out");
    if (options.tile.size > 0)
      throw UsageError("/data/tile/size: a classifier sees images whole; set it to 0, and /data/resize to shrink them");
    const auto source = data::ImageSource::open(data::file_of(options.path), options, data::Purpose::classes);
    std::vector<std::string> labels;
    for (std::int64_t i = 0; i < source->size(); ++i) {
      labels.push_back(source->label(i));
      if (labels.back().empty())
        throw UsageError("/data/path: " + (source->has_labels() ? source->id(i) + " of " : "the images of ") +
                         options.path.written + (source->has_labels() ? " has no label" : " have no labels") +
                         ", by which a classifier learns; give a folder with a folder for each class, or an IDX file "
                         "with its labels beside it or in /data/labels");
    }
    return load(*source, reporter, hold_out, threads, &labels);
  }

  std::unique_ptr<Kind> restore(const Metadata& metadata) const override {
    data::Geometry geometry;
    config::read_text(geometry, entry(metadata, "geometry"), "geometry", ".");
    check_geometry(geometry);
    return std::make_unique<ImageKind>(geometry, data(), read_forms(metadata));
  }

 private:
  // `labels`: of the source's images, whose classes are asked for; null: none.
  Dataset load(const data::ImageSource& source, Reporter& reporter, data::HoldOut hold_out, int threads,
               const std::vector<std::string>* labels) const {
    const data::ImageOptions& options = data();
    source.notes().tell_lines(reporter);
    const auto prepare = [&](data::ImageTaker& taker, Reporter& to) {
      return ImageLoader(options, source, hold_out, taker, to, threads).load();
    };
    const auto prepared = options.cache.empty()
                              ? data::hold_images(reporter, prepare)
                              : data::open_cached_images(options, source, hold_out, reporter, prepare);
    source.notes().tell_left_out(reporter);
    const data::Geometry& geometry = prepared.summary.geometry;
    check_rotation(options, geometry);
    auto training = std::make_unique<model::ImageSamples>(geometry, options.augment);
    const auto held_out = std::make_shared<model::ImageSamples>(geometry, options.augment);
    for (const auto& image : prepared.images) {
      (image.held_out ? *held_out : *training).add(image.pixels, image.owner, image.original);
    }
    Dataset data;
    data.kind = std::make_unique<ImageKind>(geometry, options, prepared.summary.forms);
    data.summary = std::to_string(training->image_count()) + " training images, " +
                   std::to_string(held_out->image_count()) + " held out, " + std::to_string(training->size()) +
                   " tiles of " + std::to_string(geometry.channels) + " x " +
                   data::size_text({geometry.height, geometry.width});
    data.training = std::move(training);
    data.held_out = held_out;
    data.data_sha256 = prepared.summary.data_sha256;
    data.good_images = [held_out](const CorruptionList& corruption, std::uint64_t seed, std::int64_t most) {
      return good_images(held_out, corruption, seed, most);
    };
    if (labels != nullptr) add_classes(data, prepared, *labels);
    return data;
  }

  void add_classes(Dataset& dataset, const data::PreparedImages& prepared,
                   const std::vector<std::string>& labels) const {
    std::vector<std::string> own;
    for (const auto& image : prepared.images) own.push_back(labels.at(static_cast<std::size_t>(image.number)));
    Classes classes;
    classes.names = class_names(own);
    if (classes.names.size() < 2)
      throw UsageError("/data/path: all images of " + data().path.written + " are of the class " +
                       ae::quoted(classes.names.front()) + "; a classifier needs two classes or more");
    std::string digested = dataset.data_sha256;
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto at = std::ranges::find(classes.names, own[i]) - classes.names.begin();
      (prepared.images[i].held_out ? classes.held_out : classes.training).push_back(at);
      digested += own[i] + '\0';
    }
    dataset.data_sha256 = sha256_of(digested);
    dataset.summary += ", " + std::to_string(classes.names.size()) + " classes";
    dataset.classes = std::move(classes);
  }
};

}  // namespace

ImageKind::ImageKind(const data::Geometry& geometry, const data::ImageOptions& options, std::vector<std::string> forms)
    : Kind(model::image_domain(geometry)), geometry_(geometry), options_(options), forms_(std::move(forms)) {}

void ImageKind::save(Metadata& metadata) const {
  data::Geometry geometry = geometry_;
  metadata["geometry"] = config::to_json(geometry, config::Paths::as_written);
  if (!forms_.empty()) metadata["image_forms"] = nlohmann::json(forms_).dump();
}

std::unique_ptr<data::ImageSource> ImageKind::open_source(const std::string& input) const {
  return data::ImageSource::open(input, options_, data::Purpose::scoring);
}

void OtherForms::note(const std::string& form, const std::string& id) {
  const auto& known = kind_.forms();
  if (known.empty() || std::find(known.begin(), known.end(), form) != known.end()) return;
  ++found_.emplace(form, Found{0, id}).first->second.images;
}

std::string OtherForms::told() const {
  if (found_.empty()) return "";
  std::vector<std::string> forms;
  for (const auto& [form, found] : found_) {
    forms.push_back(std::to_string(found.images) + (found.images == 1 ? " image is " : " images are ") + form + " (" +
                    printable(found.first) + (found.images == 1 ? ")" : ", ...)"));
  }
  return join(forms) + ", but the model was trained on " + join(kind_.forms(), " and ") +
         "; what is not alike in the files may count as strange";
}

std::string further_text(const std::vector<std::string>& ids) {
  constexpr std::size_t kNamesInALine = 5;
  return std::to_string(ids.size()) + (ids.size() == 1 ? " image holds" : " images hold") +
         " further pages or frames, which are not looked at: " + join(ids, ", ", kNamesInALine);
}

const config::Entry<KindOptions> kImageKind{
    "images", "Images: PNG, JPEG, BMP and TIFF files, IDX, NPY and NPZ stacks.",
    [] { return std::unique_ptr<KindOptions>(std::make_unique<ImageKindOptions>()); }};

}  // namespace ae::recipe
