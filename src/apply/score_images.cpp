#include "apply/score_images.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "apply/image_batches.hpp"
#include "apply/image_outputs.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "model/threads.hpp"
#include "recipe/image_kind.hpp"

namespace ae::apply {
namespace {

class ImageScorer {
 public:
  ImageScorer(const recipe::Checkpoint& checkpoint, const ScoreOptions& asked, const ImageOptions& options,
              Output& output, Reporter& reporter)
      : asked_(asked),
        options_(options),
        reporter_(reporter),
        images_(checkpoint, asked.inputs, options.unreadable, reporter),
        head_(map_head(checkpoint)),
        flagging_(asked.flag, checkpoint.calibration(), checkpoint.name(), checkpoint.digest(), "images", output,
                  reporter),
        reconstruct_(checkpoint.autoencoder(), image_kind(checkpoint).geometry()),
        model_(checkpoint.name()) {}

  ImageTotals run() {
    outputs_.emplace(options_, asked_, head_, model_, flagging_, reporter_);
    outputs_->check(images_.names(), images_.files());
    if (options_.truth.empty()) images_.tell_masks_left_over();
    flagging_.begin(images_.has_labels());
    const auto [first, last] = asked_.world.share_of(images_.size());
    images_.for_each(first, last, outputs_->wants_original(), "scoring",
                     [this](const std::vector<NetworkImage>& batch) { answer(batch); });
    if (flagging_.scored() == 0 && last > first)
      throw InputError("none of the " + std::to_string(last - first) + " images could be read");
    totals_.flags = flagging_.finish();
    totals_.flags.bad = totals_.unreadable = images_.left_out();
    totals_.flags.first_bad = images_.first_left_out();
    outputs_->finish();
    totals_.regions = outputs_->regions();
    totals_.flags.unseen += images_.tell_unseen();
    return totals_;
  }

 private:
  void answer(const std::vector<NetworkImage>& batch) {
    std::vector<at::Tensor> images;
    for (const auto& loaded : batch) images.push_back(loaded.network);
    const auto reconstructions = reconstruct_(images);
    std::vector<score::MapHead::Answer> judged(images.size());
    model::share_out(std::ssize(images), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      judged[i] = head_.answer(images[i], reconstructions[i]);
    });
    for (std::size_t i = 0; i < images.size(); ++i) {
      try {
        write(batch[i], reconstructions[i], judged[i]);
      } catch (const InputError& error) {
        images_.leave_out(InputError(batch[i].id + ": " + error.lines().front()));
      }
    }
    flagging_.flush();
  }

  void write(const NetworkImage& loaded, const at::Tensor& reconstruction, const score::MapHead::Answer& judged) {
    warn_of_size({loaded.network.size(1), loaded.network.size(2)}, loaded.id);
    if (!std::isfinite(judged.score)) {
      throw InputError("the score is " + number_text(judged.score) + "; the model is not usable for such values");
    }
    const double p_value = flagging_.add({loaded.id, judged.score, loaded.label, {}});
    outputs_->write(
        {loaded.id, loaded.label, loaded.size, loaded.original, reconstruction, judged.map, judged.score, p_value});
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
  ImageBatches images_;
  const score::MapHead& head_;
  Flagging flagging_;
  score::Reconstructor reconstruct_;
  std::string model_;
  std::optional<ImageOutputs> outputs_;
  bool warned_of_size_ = false;
  ImageTotals totals_;
};

}  // namespace

ImageTotals score_images(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, const ImageOptions& details,
                         Output& output, Reporter& reporter) {
  return ImageScorer(checkpoint, options, details, output, reporter).run();
}

}  // namespace ae::apply
