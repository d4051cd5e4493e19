#include "apply/embed_images.hpp"

#include <torch/types.h>

#include <memory>
#include <opencv2/core/utility.hpp>
#include <optional>
#include <span>
#include <utility>

#include "apply/passing.hpp"
#include "base/ahead.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "loss/codes.hpp"
#include "model/threads.hpp"
#include "recipe/image_kind.hpp"
#include "score/maps.hpp"
#include "score/tiles.hpp"

namespace ae::apply {
namespace {

// Pixels of images that are encoded together.
constexpr std::int64_t kBatchPixels = 1 << 21;

class ImageEmbedder {
 public:
  ImageEmbedder(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file, Reporter& reporter)
      : pair_(checkpoint.autoencoder()),
        kind_(*checkpoint.kind().as<recipe::ImageKind>()),
        geometry_(kind_.geometry()),
        options_(options),
        file_(file),
        reporter_(reporter) {}

  EmbedTotals run() {
    for (const auto& input : options_.stream.inputs) {
      sources_.push_back(kind_.open_source(input));
      sources_.back()->notes().tell_lines(reporter_);
      labels_ = labels_ || sources_.back()->has_labels();
      all_ += sources_.back()->size();
    }
    file_.begin(names(), labels_ ? std::vector<std::string>{"label"} : std::vector<std::string>{});
    cv::setNumThreads(1);
    Ahead<Loaded> images(model::threads_in_use() > 1 ? 4 : 0, [this](Loaded& image) { return load(image); });
    Loaded image;
    while (images.next(image)) {
      throw_if_stopped("encoding");
      if (image.error) {
        leave_out(*image.error);
      } else {
        take(image);
      }
      reporter_.progress("images", static_cast<std::uint64_t>(++done_), static_cast<std::uint64_t>(all_));
    }
    encode();
    reporter_.progress_done();
    file_.finish();
    if (const auto told = other_forms_.told(); !told.empty()) reporter_.warning(told);
    for (const auto& source : sources_) source->notes().tell_left_out(reporter_);
    if (!further_.empty()) reporter_.warning(recipe::further_text(further_));
    check_any(totals_.samples, totals_.bad, false);
    return totals_;
  }

 private:
  struct Loaded {
    std::string id, label, form;
    bool further = false;  // the file holds more than was read
    at::Tensor network;    // [channels, height, width]
    std::optional<InputError> error;
  };
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

  // The next image; false when there are none. Perhaps on a thread of its own.
  bool load(Loaded& image) {
    while (source_ < sources_.size() && next_ >= sources_[source_]->size()) {
      ++source_;
      next_ = 0;
    }
    if (source_ == sources_.size()) return false;
    const auto& source = *sources_[source_];
    const auto i = next_++;
    image = {};
    image.id = source.id(i);
    image.label = source.label(i);
    try {
      const auto loaded = source.load(i, geometry_.channels);
      image.further = loaded.further > 0;
      image.form = loaded.form;
      image.network = score::to_tensor(data::resized(loaded.image, geometry_));
      check_size(image);
    } catch (const InputError& error) {
      image.error = error;
    }
    return true;
  }

  void check_size(const Loaded& image) const {
    const data::Size found{image.network.size(1), image.network.size(2)}, wanted{geometry_.height, geometry_.width};
    if (geometry_.tiled() || found == wanted) return;
    throw InputError(image.id + ": " + data::size_text(found) + " network pixels; a code of the same length needs " +
                     data::size_text(wanted) +
                     ", as in training; train with /data/resize/height and /data/resize/width, or with /data/tile");
  }

  void leave_out(const InputError& error) {
    const auto& line = error.lines().front();
    if (options_.unreadable == Unreadable::stop) throw error;
    reporter_.warning(line);
    if (totals_.bad.count++ == 0) totals_.bad.first = line.substr(0, line.find(": "));
  }

  void take(const Loaded& image) {
    if (image.further) further_.push_back(image.id);
    other_forms_.note(image.form, image.id);
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
      const std::span<const std::string> label{&waiting_[i].label, labels_ ? 1u : 0u};
      file_.add(waiting_[i].id, code, label);
    }
    totals_.samples += std::ssize(waiting_);
    waiting_.clear();
    file_.flush();
  }

  const loss::Autoencoder& pair_;
  const recipe::ImageKind& kind_;
  const data::Geometry& geometry_;
  const EmbedOptions& options_;
  CodeFile& file_;
  Reporter& reporter_;
  std::vector<std::unique_ptr<data::ImageSource>> sources_;
  bool labels_ = false;
  std::int64_t all_ = 0, done_ = 0;  // images
  std::size_t source_ = 0;           // of load(): where the next image is
  std::int64_t next_ = 0;
  std::vector<Waiting> waiting_;  // samples
  recipe::OtherForms other_forms_{kind_};
  std::vector<std::string> further_;
  EmbedTotals totals_;
};

}  // namespace

EmbedTotals embed_images(const recipe::Checkpoint& checkpoint, const EmbedOptions& options, CodeFile& file,
                         Reporter& reporter) {
  return ImageEmbedder(checkpoint, options, file, reporter).run();
}

}  // namespace ae::apply
