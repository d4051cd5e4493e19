#include "apply/score_images.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <opencv2/core/utility.hpp>

#include "apply/pictures.hpp"
#include "apply/regions.hpp"
#include "base/ahead.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/images/images.hpp"
#include "evaluate/pixel_maps.hpp"
#include "evaluate/truth_files.hpp"
#include "model/threads.hpp"
#include "score/maps.hpp"
#include "stats/conformal.hpp"

namespace ae::apply {
namespace {

namespace fs = std::filesystem;

// Images answered together: enough to fill the network's batches, not too many to hold.
constexpr std::int64_t kBatchImages = 256;
constexpr std::int64_t kBatchPixels = 1 << 22;
constexpr std::int64_t kThumbnail = 320;

// `folder`/<id without extension>, or UsageError when that leads out of the folder.
fs::path file_stem(const std::string& id) {
  const fs::path relative = fs::path(id).relative_path().lexically_normal();
  if (relative.empty() || *relative.begin() == "..") {
    throw UsageError("image " + ae::quoted(id) +
                     ": its name leads out of the output folder; list images below the list file's folder");
  }
  return relative.parent_path() / relative.stem();
}

void save(const fs::path& path, bool overwrite, std::string_view bytes) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw RunError(path.parent_path().string() + ": cannot create the folder: " + error.message());
  auto file = Output::open(path, overwrite);
  file.write(bytes);
  file.commit();
}

const score::MapHead& map_head(const recipe::Checkpoint& checkpoint) {
  const auto* head = dynamic_cast<const score::MapHead*>(&checkpoint.head());
  if (head == nullptr) {
    throw InputError(checkpoint.name() + ": its score head is not \"map\", which images are scored by; train it again");
  }
  return *head;
}

class ImageScorer {
 public:
  ImageScorer(const recipe::Checkpoint& checkpoint, const ScoreImagesOptions& options, Output& output,
              Reporter& reporter)
      : checkpoint_(checkpoint),
        options_(options),
        output_(output),
        reporter_(reporter),
        geometry_(*checkpoint.geometry()),
        head_(map_head(checkpoint)),
        reconstruct_(checkpoint.autoencoder(), geometry_) {}

  ScoreImagesTotals run() {
    open_inputs();
    decide_pixel_rule();
    open_outputs();
    write_header();
    cv::setNumThreads(1);  // images are shared out among the threads as a whole
    std::int64_t all = 0;
    for (const auto& source : sources_) all += source->size();
    const auto [first, last] = options_.world.share_of(all);
    next_ = first;
    last_ = last;
    {
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
    reporter_.progress_done();
    if (!options_.truth.empty() && truths_ == 0) {
      reporter_.warning(options_.truth.string() +
                        ": no mask of these images here (looked for TYPE/NAME_mask.png, NAME.png "
                        "and the like)");
    }
    if (totals_.images == 0 && last > first) {
      throw InputError("none of the " + std::to_string(last - first) + " images could be read");
    }
    if (options_.fdr) flag_waiting();
    if (regions_file_) regions_file_->commit();
    return totals_;
  }

 private:
  struct Loaded {
    std::string id;
    std::string label;
    std::optional<data::Image> original;  // kept when a picture of it is wanted
    data::Size size;
    at::Tensor network;
  };
  struct Batch {
    std::vector<Loaded> images;
    std::vector<InputError> unreadable;
    std::int64_t end = 0;  // of all images, how many are loaded
  };
  struct Line {  // waits for the flag, which needs all p-values
    std::string before;
    std::string after;
    double p_value;
  };

  bool flags() const { return options_.threshold || options_.alpha || options_.fdr; }
  bool wants_regions() const {
    return !options_.masks.empty() || !options_.regions.empty() || options_.page != nullptr;
  }
  bool wants_original() const { return !options_.maps.empty() || options_.page != nullptr; }

  void open_inputs() {
    for (const auto& input : options_.inputs) {
      sources_.push_back(data::ImageSource::open(
          input, dynamic_cast<const data::ImageOptions&>(*checkpoint_.config().data), data::Purpose::scoring));
      has_label_ = has_label_ || sources_.back()->has_labels();
    }
    if (options_.maps.empty() && options_.masks.empty() && options_.reconstructions.empty()) return;
    std::map<fs::path, std::string> stems;
    for (const auto& source : sources_) {
      for (std::int64_t i = 0; i < source->size(); ++i) {
        const auto id = source->id(i);
        const auto [other, is_new] = stems.emplace(file_stem(id), id);
        if (!is_new) {
          throw UsageError("images " + ae::quoted(other->second) + " and " + ae::quoted(id) + " would both write " +
                           ae::quoted(other->first.string()) + "; score them in separate runs");
        }
      }
    }
  }

  void decide_pixel_rule() {
    const bool colours = !options_.maps.empty() || options_.page != nullptr;
    if (!wants_regions() && !colours) return;
    if (!head_.calibrated() && !options_.pixel_threshold) {
      throw UsageError(checkpoint_.name() +
                       ": was trained without held-out images, so it knows no pixel threshold; give --pixel-threshold");
    }
    rule_.threshold =
        options_.pixel_threshold ? *options_.pixel_threshold : head_.pixel_threshold(options_.pixel_alpha);
    rule_.peak = rule_.threshold;
    if (head_.calibrated()) {
      const double region_alpha = options_.region_alpha.value_or(options_.pixel_threshold ? 1 : 0.05);
      rule_.peak = std::max(rule_.peak, head_.peak_threshold(region_alpha));
    }
    rule_.minimum_area = options_.minimum_area;
    rule_.opening = options_.opening;
    if (head_.calibrated()) {
      colours_.low = head_.pixel_threshold(0.5);
      colours_.high = colours_.low + 2 * (head_.pixel_threshold(0.001) - colours_.low);
    } else {
      colours_ = {0, 2 * *options_.pixel_threshold};
    }
    if (!(colours_.high > colours_.low)) colours_.high = colours_.low + 1e-6;
    levels_ = {colours_.low, colours_.low + 8 * (colours_.high - colours_.low)};
    if (wants_regions()) {
      reporter_.detail("regions: map values above " + number_text(rule_.threshold) + " with a peak above " +
                       number_text(rule_.peak));
    }
    if (!options_.maps.empty()) {
      reporter_.detail("maps: overlay colours from " + number_text(colours_.low) + " to " + number_text(colours_.high) +
                       ", 16-bit gray from " + number_text(levels_.low) + " to " + number_text(levels_.high));
    }
  }

  void open_outputs() {
    for (const auto& folder : {options_.maps, options_.masks, options_.reconstructions}) {
      std::error_code ignored;
      if (folder.empty() || options_.overwrite || !fs::exists(folder, ignored)) continue;
      if (!fs::is_directory(folder, ignored)) throw UsageError(folder.string() + ": is not a folder");
      if (!fs::is_empty(folder, ignored)) {
        throw UsageError(folder.string() + ": is not empty; use --force to write into it");
      }
    }
    if (!options_.regions.empty()) {
      regions_file_ = std::make_unique<Output>(Output::open(options_.regions, options_.overwrite));
      regions_file_->write("id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y\n");
    }
    if (options_.page != nullptr) {
      options_.page->begin({image_threshold(), threshold_rule(), colours_.low, colours_.high, rule_.threshold,
                            std::string(head_.kind_name())});
    }
  }

  // The score at and above which images are flagged, where it does not depend on the batch.
  std::optional<double> image_threshold() const {
    if (options_.threshold) return options_.threshold;
    const auto& sorted = checkpoint_.calibration().sorted();
    if (sorted.empty() || options_.fdr) return std::nullopt;
    // p(s) = (1 + #{c >= s}) / (n + 1) <= alpha: above the k-th largest calibration score with k = alpha (n + 1).
    const double alpha = options_.alpha.value_or(0.01);
    const auto allowed = std::floor(alpha * static_cast<double>(sorted.size() + 1));
    if (allowed < 1) return std::nullopt;
    if (allowed > static_cast<double>(sorted.size())) return sorted.front();
    return std::nextafter(sorted[sorted.size() - static_cast<std::size_t>(allowed)], HUGE_VAL);
  }
  std::string threshold_rule() const {
    if (options_.threshold) return "given";
    if (options_.fdr) return "the false discovery rate decides by all images together";
    return "p-value of at most " + number_text(options_.alpha.value_or(0.01)) + " against " +
           std::to_string(checkpoint_.calibration().size()) + " held-out good images";
  }

  void write_header() {
    const auto& calibration = checkpoint_.calibration();
    if (calibration.size() == 0) {
      reporter_.warning(checkpoint_.name() +
                        ": holds no calibration scores (trained without held-out images), so every p_value is 1");
    } else if (options_.alpha && *options_.alpha < calibration.smallest()) {
      reporter_.warning("--alpha " + number_text(*options_.alpha) + " flags nothing: with " +
                        std::to_string(calibration.size()) + " held-out images the smallest p_value is " +
                        number_text(calibration.smallest()) + "; train with more held-out images or raise alpha");
    }
    output_.write(std::string("id,score,p_value") + (flags() ? ",flag" : "") + (has_label_ ? ",label" : "") + "\n");
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
    Loaded loaded{(*source)->id(i), (*source)->label(i), std::nullopt, {}, {}};
    auto image = (*source)->load(i, geometry_.channels);
    loaded.size = image.size();
    loaded.network = score::to_tensor(data::resized(image, geometry_));
    if (wants_original()) loaded.original = std::move(image);
    return loaded;
  }

  void leave_out(const InputError& error) {
    if (options_.unreadable == Unreadable::stop) throw error;
    reporter_.warning(error.lines().front());
    ++totals_.unreadable;
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
    output_.flush();
  }

  void write(const Loaded& loaded, const at::Tensor& reconstruction, const score::MapHead::Answer& judged) {
    warn_of_size({loaded.network.size(1), loaded.network.size(2)}, loaded.id);
    if (!std::isfinite(judged.score)) {
      throw InputError("the score is " + number_text(judged.score) + "; the model is not usable for such values");
    }
    const double p_value = checkpoint_.calibration().p_value(judged.score);
    ++totals_.images;
    write_line(loaded, judged.score, p_value);

    const auto stem = options_.maps.empty() && options_.masks.empty() && options_.reconstructions.empty()
                          ? fs::path()
                          : file_stem(loaded.id);
    at::Tensor map;
    if (!options_.maps.empty() || wants_regions()) map = score::at_original_size(judged.map, loaded.size);
    if (!options_.maps.empty()) {
      const std::span<const float> values(map.data_ptr<float>(), static_cast<std::size_t>(map.numel()));
      const auto path = (options_.maps / stem).string();
      save(path + ".npy", options_.overwrite, data::to_npy(values, map.size(0), map.size(1)));
      save(path + ".png", options_.overwrite, gray16_png(map, levels_));
      save(path + "_overlay.png", options_.overwrite, overlay_png(*loaded.original, map, colours_));
    }
    Regions found;
    if (wants_regions()) found = find_regions(map, rule_);
    totals_.regions += static_cast<std::int64_t>(found.regions.size());
    if (!options_.masks.empty()) {
      save((options_.masks / stem).string() + "_mask.png", options_.overwrite, mask_png(found.mask));
    }
    if (regions_file_) write_regions(loaded.id, found.regions);
    if (!options_.reconstructions.empty()) {
      std::vector<at::Tensor> channels;
      for (const auto& channel : reconstruction.unbind(0)) {
        channels.push_back(score::at_original_size(channel.contiguous(), loaded.size));
      }
      save((options_.reconstructions / stem).string() + ".png", options_.overwrite, image_png(torch::stack(channels)));
    }
    if (options_.page != nullptr) show(loaded, reconstruction, map, std::move(found), judged.score, p_value);
  }

  void warn_of_size(data::Size network, const std::string& id) {
    if (warned_of_size_ || !head_.by_position() || head_.knows_positions_of(network)) return;
    warned_of_size_ = true;
    reporter_.warning(id + ": " + data::size_text(network) +
                      " network pixels are not the size of the training images, so its errors (and those of others "
                      "like it) are standardised by all pixels, not by position, and p-values are approximate");
  }

  void write_line(const Loaded& loaded, double score, double p_value) {
    std::string text, after;
    append_csv_field(text, loaded.id);
    text += ',';
    append_number(text, score);
    text += ',';
    append_number(text, p_value);
    if (has_label_) {
      after += ',';
      append_csv_field(after, loaded.label);
    }
    after += '\n';
    if (options_.fdr) {
      lines_.push_back({std::move(text), std::move(after), p_value});
      return;
    }
    if (flags()) append_flag(text, options_.threshold ? score >= *options_.threshold : p_value <= *options_.alpha);
    output_.write(text + after);
  }

  void append_flag(std::string& text, bool flagged) {
    text += flagged ? ",1" : ",0";
    totals_.flagged += flagged ? 1 : 0;
  }

  void flag_waiting() {
    std::vector<double> p_values;
    for (const auto& line : lines_) p_values.push_back(line.p_value);
    const double cut = stats::benjamini_hochberg_cut(p_values, *options_.fdr);
    for (auto& line : lines_) {
      append_flag(line.before, line.p_value <= cut);
      output_.write(line.before + line.after);
    }
  }

  void write_regions(const std::string& id, const std::vector<Region>& regions) {
    std::string text;
    std::int64_t number = 0;
    for (const Region& region : regions) {
      append_csv_field(text, id);
      for (const std::int64_t value : {++number, region.x, region.y, region.width, region.height, region.area}) {
        text += ',' + std::to_string(value);
      }
      for (const double value : {region.peak, region.mean, region.centroid_x, region.centroid_y}) {
        text += ',';
        append_number(text, value);
      }
      text += '\n';
    }
    regions_file_->write(text);
  }

  void show(const Loaded& loaded, const at::Tensor& reconstruction, const at::Tensor& map, Regions found, double score,
            double p_value) {
    ScoredImage shown{loaded.id, loaded.label, score, p_value, loaded.size, std::move(found.regions),
                      {},        {},           {},    {},      {}};
    if (options_.page->wants_pictures(score)) {
      shown.input = image_thumbnail(*loaded.original, kThumbnail);
      shown.reconstruction = image_thumbnail(reconstruction, loaded.size, kThumbnail);
      shown.heat = overlay_thumbnail(*loaded.original, map, colours_, kThumbnail);
      shown.mask = mask_thumbnail(found.mask, kThumbnail);
      shown.truth = truth_of(loaded);
    }
    options_.page->add(shown);
  }

  // "" when it is not known. It changes no score, so one that is of no use is only named.
  std::string truth_of(const Loaded& loaded) {
    const auto file = options_.truth.empty() ? std::nullopt : evaluate::find_mask_file(options_.truth, loaded.id);
    if (!file) return {};
    try {
      auto known = evaluate::read_defect_mask(*file);
      const data::Size size{known.height, known.width};
      if (size == loaded.size) {
        ++truths_;
        return mask_thumbnail(torch::from_blob(known.defect.data(), {size.height, size.width}, torch::kUInt8) * 255,
                              kThumbnail);
      }
      reporter_.warning(file->string() + ": is " + data::size_text(size) + ", its image " + loaded.id + " is " +
                        data::size_text(loaded.size) + "; not shown");
    } catch (const InputError& error) {
      reporter_.warning(error.lines().front() + "; not shown");
    }
    return {};
  }

  const recipe::Checkpoint& checkpoint_;
  const ScoreImagesOptions& options_;
  Output& output_;
  Reporter& reporter_;
  const data::Geometry& geometry_;
  const score::MapHead& head_;
  score::Reconstructor reconstruct_;
  std::vector<std::unique_ptr<data::ImageSource>> sources_;
  bool has_label_ = false;
  bool warned_of_size_ = false;
  RegionRule rule_;
  Scale colours_;  // of overlays
  Scale levels_;   // of 16-bit gray
  std::unique_ptr<Output> regions_file_;
  std::int64_t next_ = 0, last_ = 0;  // images of all sources, to be loaded
  std::int64_t truths_ = 0;           // known masks shown
  std::vector<Line> lines_;
  ScoreImagesTotals totals_;
};

}  // namespace

ScoreImagesTotals score_images(const recipe::Checkpoint& checkpoint, const ScoreImagesOptions& options, Output& output,
                               Reporter& reporter) {
  return ImageScorer(checkpoint, options, output, reporter).run();
}

}  // namespace ae::apply
