#include "apply/image_batches.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <opencv2/core/utility.hpp>

#include "base/ahead.hpp"
#include "base/signals.hpp"
#include "model/threads.hpp"

namespace ae::apply {
namespace {

// Images answered together: enough to fill the network's batches, not too many to hold.
constexpr std::int64_t kMostImages = 256;
constexpr std::int64_t kMostPixels = 1 << 22;

// "boards/a.png" of "boards/a.png: not an image; ...".
std::string place_of(const std::string& line) { return line.substr(0, line.find(": ")); }

}  // namespace

Unreadable unreadable_named(std::string_view name) {
  return name == "stop" ? Unreadable::stop : name == "ignore" ? Unreadable::ignore : Unreadable::report;
}

const recipe::ImageKind& image_kind(const recipe::Checkpoint& checkpoint) {
  const auto* kind = checkpoint.kind().as<recipe::ImageKind>();
  if (kind == nullptr) throw UsageError(checkpoint.name() + ": was not trained on images");
  return *kind;
}

const score::MapHead& map_head(const recipe::Checkpoint& checkpoint) {
  const auto* head = checkpoint.head().for_images();
  if (head == nullptr) {
    throw InputError(checkpoint.name() + ": its score head is not \"map\", which images are scored by; train it again");
  }
  return *head;
}

void check_for_classifier(const NetworkImage& image, const std::vector<std::int64_t>& size) {
  if (image.network.sizes() != size)
    throw InputError(image.id + ": " + data::size_text({image.network.size(1), image.network.size(2)}) +
                     " pixels, others have " + data::size_text({size[1], size[2]}) +
                     "; a classifier takes images of one size");
  if (image.network.min().item<float>() < 0 || image.network.max().item<float>() > 1)
    throw InputError(image.id + ": has pixels outside of [0, 1], which no classifier of images expects; scale them");
}

at::Tensor stacked_for_classifier(const std::vector<NetworkImage>& images, const std::vector<std::int64_t>& size) {
  std::vector<at::Tensor> pixels;
  for (const auto& image : images) {
    check_for_classifier(image, size);
    pixels.push_back(image.network);
  }
  return torch::stack(pixels);
}

ImageBatches::ImageBatches(const recipe::Checkpoint& checkpoint, const std::vector<std::string>& inputs,
                           Unreadable unreadable, Reporter& reporter)
    : ImageBatches(image_kind(checkpoint), inputs, unreadable, reporter) {
  const auto& geometry = kind_.geometry();
  if (!geometry.tiled() && !checkpoint.config().model->reads_any_size())
    only_size_ = data::Size{geometry.height, geometry.width};
}

ImageBatches::ImageBatches(const recipe::ImageKind& kind, const std::vector<std::string>& inputs, Unreadable unreadable,
                           Reporter& reporter)
    : kind_(kind), unreadable_(unreadable), reporter_(reporter), other_forms_(kind) {
  for (const auto& input : inputs) {
    sources_.push_back(kind_.open_source(input));
    const auto& source = *sources_.back();
    has_labels_ = has_labels_ || source.has_labels();
    source.notes().tell_lines(reporter_);
    size_ += source.size();
  }
  cv::setNumThreads(1);  // images are shared out among the threads as a whole
}

std::vector<NamedImage> ImageBatches::names() const {
  std::vector<NamedImage> all;
  for (const auto& source : sources_)
    for (std::int64_t i = 0; i < source->size(); ++i) all.push_back({source->id(i), source->label(i)});
  return all;
}

std::vector<std::filesystem::path> ImageBatches::files() const {
  std::vector<std::filesystem::path> all;
  for (const auto& source : sources_) {
    const auto files = source->files();
    all.insert(all.end(), files.begin(), files.end());
  }
  return all;
}

void ImageBatches::tell_masks_left_over() const {
  for (const auto& source : sources_)
    if (const auto& line = source->notes().masks_left_over; !line.empty()) reporter_.warning(line);
}

void ImageBatches::for_each(std::int64_t first, std::int64_t last, bool originals, const char* doing,
                            const std::function<void(const std::vector<NetworkImage>&)>& visit) {
  next_ = first;
  last_ = last;
  Ahead<Batch> batches(model::threads_in_use() > 1 ? 1 : 0,
                       [this, originals](Batch& batch) { return load(batch, originals); });
  Batch batch;
  while (batches.next(batch)) {
    throw_if_stopped(doing);
    for (const auto& error : batch.unreadable) leave_out(error);
    for (const auto& image : batch.images) {
      if (image.further) further_.push_back(image.id);
      other_forms_.note(image.form, image.id);
    }
    if (!batch.images.empty()) visit(batch.images);
    reporter_.progress("images", static_cast<std::uint64_t>(batch.end - first),
                       static_cast<std::uint64_t>(last - first));
  }
  reporter_.progress_done();
}

// The next images; false when there are none. Perhaps on a thread of its own.
bool ImageBatches::load(Batch& batch, bool originals) {
  batch = {};
  std::int64_t pixels = 0;
  while (next_ < last_ && std::ssize(batch.images) < kMostImages && pixels < kMostPixels) {
    throw_if_stopped("reading");
    const auto i = next_++;
    batch.end = next_;
    try {
      batch.images.push_back(load(i, originals));
    } catch (const InputError& error) {
      if (unreadable_ == Unreadable::stop) throw;
      batch.unreadable.push_back(error);
      continue;
    }
    const auto& loaded = batch.images.back();
    pixels += loaded.network.size(1) * loaded.network.size(2) + loaded.size.height * loaded.size.width;
  }
  return batch.end > 0;
}

NetworkImage ImageBatches::load(std::int64_t i, bool original) const {
  auto source = sources_.begin();
  const auto number = i;
  for (; i >= (*source)->size(); ++source) i -= (*source)->size();
  auto [image, form, further] = (*source)->load(i, kind_.geometry().channels);
  NetworkImage loaded{
      (*source)->id(i), number, (*source)->label(i), std::move(form), further > 0, std::nullopt, {}, {}};
  loaded.size = image.size();
  const auto resized = data::resized(image, kind_.geometry());
  if (only_size_ && resized.size() != *only_size_) {
    throw InputError(loaded.id + ": " + data::size_text(resized.size()) + " network pixels; this model reads " +
                     data::size_text(*only_size_) +
                     " alone, as in training; train with /data/resize/height and /data/resize/width, or with "
                     "/model/type \"conv\"");
  }
  loaded.network = score::to_tensor(resized);
  if (original) loaded.original = std::move(image);
  return loaded;
}

void ImageBatches::leave_out(const InputError& error) {
  if (unreadable_ == Unreadable::stop) throw error;
  reporter_.warning(error.lines().front());
  if (left_out_++ == 0) first_left_out_ = place_of(error.lines().front());
}

std::int64_t ImageBatches::tell_unseen() {
  if (const auto told = other_forms_.told(); !told.empty()) reporter_.warning(told);
  std::int64_t unseen = std::ssize(further_);
  for (const auto& source : sources_) {
    source->notes().tell_left_out(reporter_);
    unseen += std::ssize(source->notes().unknown);
  }
  if (!further_.empty()) reporter_.warning(recipe::further_text(further_));
  return unseen;
}

}  // namespace ae::apply
