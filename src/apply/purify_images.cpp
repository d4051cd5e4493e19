#include "apply/purify_images.hpp"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>

#include "apply/clean_images.hpp"
#include "apply/pictures.hpp"
#include "apply/purifiers.hpp"
#include "apply/streams.hpp"
#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy_writer.hpp"
#include "model/threads.hpp"
#include "score/maps.hpp"

namespace ae::apply {
namespace {

class PurifiedFile {
 public:
  virtual ~PurifiedFile() = default;
  virtual void add(const NetworkImage& image, const at::Tensor& purified) = 0;
  virtual void finish() = 0;
};

class PurifiedArray final : public PurifiedFile {
 public:
  explicit PurifiedArray(Output& output) : output_(output) {}
  void add(const NetworkImage& image, const at::Tensor& purified) override {
    const auto pixels = array_pixels(purified);
    const auto shape = pixels.sizes().vec();
    if (!rows_) rows_.emplace(output_, shape_ = shape);
    if (shape != shape_)
      throw InputError(image.id + ": " + data::size_text({purified.size(1), purified.size(2)}) +
                       " network pixels, others have " + data::size_text({shape_[0], shape_[1]}) +
                       "; an array holds images of one size, write a folder instead");
    rows_->add({pixels.data_ptr<float>(), static_cast<std::size_t>(pixels.numel())});
  }
  void finish() override { rows_->finish(); }

 private:
  Output& output_;
  std::optional<data::NpyWriter> rows_;
  std::vector<std::int64_t> shape_;
};

class PurifiedFolder final : public PurifiedFile {
 public:
  PurifiedFolder(std::filesystem::path folder, bool overwrite, const ImageBatches& images, InputFiles& inputs)
      : folder_(std::move(folder)), overwrite_(overwrite) {
    check_empty_folder(folder_, overwrite);
    const auto names = images.names();
    check_stems(names);
    for (const auto& [id, label] : names) inputs.require_apart("--output", folder_, path_of(id));
  }
  void add(const NetworkImage& image, const at::Tensor& purified) override {
    std::vector<at::Tensor> channels;
    for (const auto& channel : purified.unbind(0))
      channels.push_back(score::at_original_size(channel.contiguous(), image.size));
    save_file(path_of(image.id), overwrite_, image_png(torch::stack(channels).clamp(0, 1)));
  }
  void finish() override {}

 private:
  std::string path_of(const std::string& id) const { return (folder_ / file_stem(id)).string() + ".png"; }

  std::filesystem::path folder_;
  bool overwrite_;
};

class ImagePurifier {
 public:
  ImagePurifier(const recipe::Checkpoint& checkpoint, const ImagePurifyOptions& options, Reporter& reporter)
      : images_(checkpoint, options.inputs, options.unreadable, reporter),
        head_(map_head(checkpoint)),
        reconstruct_(checkpoint.autoencoder(), image_kind(checkpoint).geometry()),
        table_(options.table),
        clean_(clean_images(checkpoint, options, reporter)),
        purify_(options.purifiers, source_of(checkpoint, clean_, options.among)),
        seed_(options.seed),
        votes_(votes_of(options.votes, purify_.random())) {
    if (options.judge) judge_.emplace(checkpoint, *options.judge, images_, reporter);
    auto read = images_.files();
    if (judge_) std::ranges::move(judge_->files(), std::back_inserter(read));
    if (clean_) std::ranges::move(clean_->files(), std::back_inserter(read));
    InputFiles inputs(std::move(read));
    for (const auto& [option, path] : options.outputs) inputs.require_apart(option, path, path);
    if (options.array != nullptr)
      file_ = std::make_unique<PurifiedArray>(*options.array);
    else
      file_ = std::make_unique<PurifiedFolder>(options.folder, options.overwrite, images_, inputs);
  }

  ImagePurifyTotals run() {
    if (table_ != nullptr)
      table_->write(std::string("id,") + (images_.has_labels() ? "label," : "") +
                    "loss_before,loss_after,distance_l2,distance_linf" + (purify_.chooses() ? ",nearest" : "") +
                    (judge_ ? judge_->header() : "") + "\n");
    images_.for_each(0, images_.size(), false, "purifying",
                     [this](const std::vector<NetworkImage>& batch) { purify(batch); });
    if (totals_.images == 0)
      throw InputError("none of the " + std::to_string(images_.size()) + " images could be read");
    file_->finish();
    images_.tell_unseen();
    totals_.unreadable = images_.left_out();
    if (judge_) {
      judge_->finish();
      totals_.judged = judge_->figures();
    }
    return totals_;
  }

 private:
  static std::optional<CleanImages> clean_images(const recipe::Checkpoint& checkpoint,
                                                 const ImagePurifyOptions& options, Reporter& reporter) {
    std::optional<CleanImages> clean;
    if (!options.clean.empty()) clean.emplace(checkpoint, options.clean, reporter);
    return clean;
  }

  static PurifierSource source_of(const recipe::Checkpoint& checkpoint, std::optional<CleanImages>& clean,
                                  std::span<const recipe::Checkpoint> among) {
    PurifierSource source{checkpoint, {}, among};
    if (clean) source.clean = [&clean] { return clean->all(); };
    return source;
  }

  void purify(const std::vector<NetworkImage>& batch) {
    std::vector<at::Tensor> images;
    for (const auto& image : batch) images.push_back(image.network);
    ImageSet before(images, keys(batch, 0));
    const auto after = purified(batch, before);
    ImageSet purified(after);
    const auto losses_before = losses(before), losses_after = losses(purified);
    std::vector<std::size_t> kept;
    std::vector<at::Tensor> steps;  // of those
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto step = (after[i] - images[i]).to(at::kDouble);
      if (!std::isfinite(losses_before[i]) || !std::isfinite(losses_after[i]) || !step.isfinite().all().item<bool>()) {
        images_.leave_out(InputError(batch[i].id + ": its loss is " + number_text(losses_before[i]) + " before and " +
                                     number_text(losses_after[i]) + " after; the model is not usable for such values"));
        continue;
      }
      kept.push_back(i);
      steps.push_back(step);
    }
    const auto judged = judge_ ? judge(kept, batch, after, before) : std::vector<std::string>(kept.size());
    for (std::size_t k = 0; k < kept.size(); ++k) {
      const auto i = kept[k];
      file_->add(batch[i], after[i]);
      ++totals_.images;
      if (table_ == nullptr) continue;
      std::string line;
      append_csv_field(line, batch[i].id);
      if (images_.has_labels()) {
        line += ',';
        append_csv_field(line, batch[i].label);
      }
      const double distance = std::sqrt(steps[k].square().sum().item<double>());
      for (const double value : {losses_before[i], losses_after[i], distance, steps[k].abs().max().item<double>()}) {
        line += ',';
        append_number(line, value);
      }
      if (purify_.chooses()) line += ',' + std::to_string(before.chosen.at(i));
      table_->write(line + judged[k] + "\n");
    }
  }

  Keys keys(const std::vector<NetworkImage>& batch, std::int64_t draw) const {
    if (!purify_.random()) return {};
    std::vector<std::int64_t> numbers;
    for (const auto& image : batch) numbers.push_back(image.number);
    return draw_keys(seed_, "purify", numbers, draw);
  }

  std::vector<at::Tensor> purified(const std::vector<NetworkImage>& batch, ImageSet& images) const {
    auto after = purify_(images);
    // Reconstructions of 8 and 16 bits may leave what such pixels can be.
    for (std::size_t i = 0; i < batch.size(); ++i)
      if (batch[i].form.find("float") == std::string::npos) after[i] = after[i].clamp(0, 1);
    return after;
  }

  std::vector<std::string> judge(const std::vector<std::size_t>& kept, const std::vector<NetworkImage>& batch,
                                 const std::vector<at::Tensor>& after, ImageSet& before) {
    const auto& reconstructions = before.reconstructions(reconstruct_);
    std::vector<NetworkImage> images;
    std::vector<at::Tensor> reconstructed;
    std::vector<std::vector<at::Tensor>> draws(static_cast<std::size_t>(votes_));
    for (const auto i : kept) {
      images.push_back(batch[i]);
      draws.front().push_back(after[i]);
      reconstructed.push_back(reconstructions[i]);
    }
    for (std::size_t draw = 1; draw < draws.size(); ++draw) {
      ImageSet again(before.all(), keys(batch, static_cast<std::int64_t>(draw)));
      const auto others = purified(batch, again);
      for (const auto i : kept) draws[draw].push_back(others[i]);
    }
    return judge_->answers(images, draws, reconstructed);
  }

  std::vector<double> losses(ImageSet& images) const {
    const auto& reconstructions = images.reconstructions(reconstruct_);
    std::vector<double> losses(reconstructions.size());
    model::share_out(std::ssize(reconstructions), 1, [&](std::int64_t begin, std::int64_t) {
      const auto i = static_cast<std::size_t>(begin);
      losses[i] = head_.answer(images.all()[i], reconstructions[i]).score;
    });
    return losses;
  }

  ImageBatches images_;
  const score::MapHead& head_;
  score::Reconstructor reconstruct_;
  Output* table_;
  std::optional<CleanImages> clean_;
  PurifierChain purify_;
  std::uint64_t seed_;
  std::int64_t votes_;
  std::unique_ptr<PurifiedFile> file_;
  std::optional<PurifyJudge> judge_;
  ImagePurifyTotals totals_;
};

}  // namespace

at::Tensor array_pixels(const at::Tensor& image) {
  return (image.size(0) == 1 ? image[0] : image.permute({1, 2, 0})).contiguous();
}

ImagePurifyTotals purify_images(const recipe::Checkpoint& checkpoint, const ImagePurifyOptions& options,
                                Reporter& reporter) {
  check_network(checkpoint, "ae-purify", "project images");
  return ImagePurifier(checkpoint, options, reporter).run();
}

}  // namespace ae::apply
