#include "apply/embed_images.hpp"

#include <torch/types.h>

#include <span>
#include <utility>

#include "apply/image_batches.hpp"
#include "apply/passing.hpp"
#include "base/error.hpp"
#include "loss/codes.hpp"
#include "score/tiles.hpp"

namespace ae::apply {
namespace {

// Pixels of images that are encoded together.
constexpr std::int64_t kBatchPixels = 1 << 21;

class ImageEmbedder {
 public:
  ImageEmbedder(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file, Reporter& reporter)
      : pair_(checkpoint.autoencoder()),
        geometry_(image_kind(checkpoint).geometry()),
        file_(file),
        images_(checkpoint, options.stream.inputs, options.unreadable, reporter) {}

  EmbedTotals run() {
    const bool labels = images_.has_labels();
    file_.begin(names(), labels ? std::vector<std::string>{"label"} : std::vector<std::string>{});
    images_.for_each(0, images_.size(), false, "encoding", [this](const std::vector<NetworkImage>& batch) {
      for (const auto& image : batch) {
        try {
          check_size(image);
        } catch (const InputError& error) {
          images_.leave_out(error);
          continue;
        }
        take(image);
      }
    });
    encode();
    file_.finish();
    images_.tell_unseen();
    totals_.bad = {images_.left_out(), images_.first_left_out()};
    check_any(totals_.samples, totals_.bad, false);
    return totals_;
  }

 private:
  struct Waiting {
    std::string id, label;
    at::Tensor values, observed;
  };

  // Of an image of the training images' size.
  std::vector<std::string> names() const {
    const auto shape = {std::int64_t{1}, geometry_.channels, geometry_.height, geometry_.width};
    const auto codes = loss::codes(pair_, {torch::zeros(shape), torch::ones(shape)});
    return code_names(pair_.members(), codes.size(1) / pair_.members());
  }

  void check_size(const NetworkImage& image) const {
    const data::Size found{image.network.size(1), image.network.size(2)}, wanted{geometry_.height, geometry_.width};
    if (geometry_.tiled() || found == wanted) return;
    throw InputError(image.id + ": " + data::size_text(found) + " network pixels; a code of the same length needs " +
                     data::size_text(wanted) +
                     ", as in training; train with /data/resize/height and /data/resize/width, or with /data/tile");
  }

  void take(const NetworkImage& image) {
    const data::Size network{image.network.size(1), image.network.size(2)};
    const auto size = geometry_.tile_size(network);
    for (const auto& place : geometry_.tiles(network)) {
      Waiting tile{image.id, image.label, torch::empty({geometry_.channels, size.height, size.width}), {}};
      if (geometry_.tiled())
        tile.id.append(":").append(std::to_string(place.y)).append(":").append(std::to_string(place.x));
      tile.observed = torch::empty_like(tile.values);
      score::cut_tile(image.network, place, size, tile.values, tile.observed);
      waiting_.push_back(std::move(tile));
      if (std::ssize(waiting_) * size.height * size.width >= kBatchPixels) encode();
    }
  }

  void encode() {
    if (waiting_.empty()) return;
    std::vector<at::Tensor> values, observed;
    for (const auto& tile : waiting_) {
      values.push_back(tile.values);
      observed.push_back(tile.observed);
    }
    const auto codes = loss::codes(pair_, {torch::stack(values), torch::stack(observed)});
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      const std::span<const float> code{codes[static_cast<std::int64_t>(i)].data_ptr<float>(),
                                        static_cast<std::size_t>(codes.size(1))};
      check_finite(code, waiting_[i].id);
      const std::span<const std::string> label{&waiting_[i].label, images_.has_labels() ? 1u : 0u};
      file_.add(waiting_[i].id, code, label);
    }
    totals_.samples += std::ssize(waiting_);
    waiting_.clear();
    file_.flush();
  }

  const loss::Autoencoder& pair_;
  const data::Geometry& geometry_;
  CodeFile& file_;
  ImageBatches images_;
  std::vector<Waiting> waiting_;  // samples
  EmbedTotals totals_;
};

}  // namespace

EmbedTotals embed_images(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                         Reporter& reporter) {
  return ImageEmbedder(checkpoint, options, file, reporter).run();
}

}  // namespace ae::apply
