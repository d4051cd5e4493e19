#include "apply/score_images.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <opencv2/core/utility.hpp>

#include "apply/image_outputs.hpp"
#include "base/ahead.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "model/threads.hpp"
#include "recipe/image_kind.hpp"

namespace ae::apply {
namespace {

// Images answered together: enough to fill the network's batches, not too many to hold.
constexpr std::int64_t kBatchImages = 256;
constexpr std::int64_t kBatchPixels = 1 << 22;

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

// "boards/a.png" of "boards/a.png: not an image; ...".
std::string place_of(const std::string& line) { return line.substr(0, line.find(": ")); }

class ImageScorer {
 public:
  ImageScorer(const recipe::Checkpoint& checkpoint, const ScoreOptions& asked, const ImageOptions& options,
              Output& output, Reporter& reporter)
      : asked_(asked),
        options_(options),
        reporter_(reporter),
        kind_(image_kind(checkpoint)),
        geometry_(kind_.geometry()),
        head_(map_head(checkpoint)),
        flagging_(asked.flag, checkpoint.calibration(), checkpoint.name(), checkpoint.digest(), "images", output,
                  reporter),
        reconstruct_(checkpoint.autoencoder(), geometry_),
        model_(checkpoint.name()) {}

  ImageTotals run() {
    std::vector<NamedImage> images;
    std::int64_t all = 0;
    for (const auto& input : asked_.inputs) {
      sources_.push_back(kind_.open_source(input));
      const auto& source = *sources_.back();
      has_label_ = has_label_ || source.has_labels();
      source.notes().tell_lines(reporter_);
      for (std::int64_t i = 0; i < source.size(); ++i) images.push_back({source.id(i), source.label(i)});
      all += source.size();
    }
    outputs_.emplace(options_, asked_, head_, model_, flagging_, reporter_);
    outputs_->check(images);
    flagging_.begin(has_label_);
    cv::setNumThreads(1);  // images are shared out among the threads as a whole
    const auto [first, last] = asked_.world.share_of(all);
    score(first, last);
    reporter_.progress_done();
    if (flagging_.scored() == 0 && last > first) {
      throw InputError("none of the " + std::to_string(last - first) + " images could be read");
    }
    totals_.flags = flagging_.finish();
    totals_.flags.bad = totals_.unreadable;
    totals_.flags.first_bad = first_unreadable_;
    outputs_->finish();
    totals_.regions = outputs_->regions();
    tell_what_was_not_seen();
    return totals_;
  }

 private:
  struct Loaded {
    std::string id;
    std::string label;
    std::string form;
    bool further = false;                 // the file holds more than was read
    std::optional<data::Image> original;  // kept when a picture of it is wanted
    data::Size size;
    at::Tensor network;
  };
  struct Batch {
    std::vector<Loaded> images;
    std::vector<InputError> unreadable;
    std::int64_t end = 0;  // of all images, how many are loaded
  };

  // The images [first, last) of all sources.
  void score(std::int64_t first, std::int64_t last) {
    next_ = first;
    last_ = last;
    Ahead<Batch> batches(model::threads_in_use() > 1 ? 1 : 0, [this](Batch& batch) { return load(batch); });
    Batch batch;
    while (batches.next(batch)) {
      throw_if_stopped("scoring");
      for (const auto& error : batch.unreadable) leave_out(error);
      answer(batch);
      reporter_.progress("images", static_cast<std::uint64_t>(batch.end - first),
                         static_cast<std::uint64_t>(last - first));
    }
  }

  // The next images; false when there are none. Perhaps on a thread of its own.
  bool load(Batch& batch) {
    batch = {};
    std::int64_t pixels = 0;
    while (next_ < last_ && std::ssize(batch.images) < kBatchImages && pixels < kBatchPixels) {
      throw_if_stopped("reading");
      const auto i = next_++;
      batch.end = next_;
      try {
        batch.images.push_back(load(i));
      } catch (const InputError& error) {
        if (options_.unreadable == Unreadable::stop) throw;
        batch.unreadable.push_back(error);
        continue;
      }
      const auto& loaded = batch.images.back();
      pixels += loaded.network.size(1) * loaded.network.size(2) + loaded.size.height * loaded.size.width;
    }
    return batch.end > 0;
  }

  Loaded load(std::int64_t i) const {
    auto source = sources_.begin();
    for (; i >= (*source)->size(); ++source) i -= (*source)->size();
    auto [image, form, further] = (*source)->load(i, geometry_.channels);
    Loaded loaded{(*source)->id(i), (*source)->label(i), std::move(form), further > 0, std::nullopt, {}, {}};
    loaded.size = image.size();
    loaded.network = score::to_tensor(data::resized(image, geometry_));
    if (outputs_->wants_original()) loaded.original = std::move(image);
    return loaded;
  }

  void leave_out(const InputError& error) {
    if (options_.unreadable == Unreadable::stop) throw error;
    reporter_.warning(error.lines().front());
    if (totals_.unreadable++ == 0) first_unreadable_ = place_of(error.lines().front());
  }

  void answer(const Batch& batch) {
    if (batch.images.empty()) return;
    std::vector<at::Tensor> images;
    for (const auto& loaded : batch.images) images.push_back(loaded.network);
    const auto reconstructions = reconstruct_(images);
    std::vector<score::MapHead::Answer> judged(images.size());
    model::share_out(std::ssize(images), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      judged[i] = head_.answer(images[i], reconstructions[i]);
    });
    for (std::size_t i = 0; i < images.size(); ++i) {
      try {
        write(batch.images[i], reconstructions[i], judged[i]);
      } catch (const InputError& error) {
        leave_out(InputError(batch.images[i].id + ": " + error.lines().front()));
      }
    }
    flagging_.flush();
  }

  void write(const Loaded& loaded, const at::Tensor& reconstruction, const score::MapHead::Answer& judged) {
    if (loaded.further) further_.push_back(loaded.id);
    other_forms_.note(loaded.form, loaded.id);
    warn_of_size({loaded.network.size(1), loaded.network.size(2)}, loaded.id);
    if (!std::isfinite(judged.score)) {
      throw InputError("the score is " + number_text(judged.score) + "; the model is not usable for such values");
    }
    const double p_value = flagging_.add({loaded.id, judged.score, loaded.label, {}});
    outputs_->write(
        {loaded.id, loaded.label, loaded.size, loaded.original, reconstruction, judged.map, judged.score, p_value});
  }

  void tell_what_was_not_seen() {
    if (const auto told = other_forms_.told(); !told.empty()) reporter_.warning(told);
    for (const auto& source : sources_) {
      source->notes().tell_left_out(reporter_);
      totals_.flags.unseen += std::ssize(source->notes().unknown);
    }
    if (!further_.empty()) reporter_.warning(recipe::further_text(further_));
    totals_.flags.unseen += std::ssize(further_);
  }

  void warn_of_size(data::Size network, const std::string& id) {
    if (warned_of_size_ || !head_.by_position() || head_.knows_positions_of(network)) return;
    warned_of_size_ = true;
    reporter_.warning(id + ": " + data::size_text(network) +
                      " network pixels are not the size of the training images, so its errors (and those of others "
                      "like it) are standardised by all pixels, not by position, and p-values are approximate");
  }

  const ScoreOptions& asked_;
  const ImageOptions& options_;
  Reporter& reporter_;
  const recipe::ImageKind& kind_;
  const data::Geometry& geometry_;
  const score::MapHead& head_;
  Flagging flagging_;
  score::Reconstructor reconstruct_;
  std::string model_;
  std::vector<std::unique_ptr<data::ImageSource>> sources_;
  std::optional<ImageOutputs> outputs_;
  recipe::OtherForms other_forms_{kind_};
  std::vector<std::string> further_;  // ids
  bool has_label_ = false;
  bool warned_of_size_ = false;
  std::int64_t next_ = 0, last_ = 0;  // images of all sources, to be loaded
  ImageTotals totals_;
  std::string first_unreadable_;
};

}  // namespace

ImageTotals score_images(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const ImageOptions& details,
                         Output& output, Reporter& reporter) {
  return ImageScorer(checkpoint, options, details, output, reporter).run();
}

}  // namespace ae::apply
