#include "apply/image_outputs.hpp"

#include <torch/types.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"
#include "data/images/folders.hpp"
#include "evaluate/pixel_maps.hpp"
#include "evaluate/truth_files.hpp"

namespace ae::apply {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kThumbnail = 320;

}  // namespace

ImageOutputs::ImageOutputs(const ImageOptions& options, const ScoreOptions& asked, const score::MapHead& head,
                           const std::string& model, const Flagging& flagging, Reporter& reporter)
    : options_(options), asked_(asked), head_(head), flagging_(flagging), reporter_(reporter) {
  if (!options.truth.empty()) truth_.emplace(options.truth);
  if (!asked.page.empty()) page_ = std::make_unique<Output>(Output::open(asked.page, asked.overwrite));
  decide_rule(model);
  open_files();
  if (page_) begin_page(model, flagging);
}

void ImageOutputs::check(const std::vector<NamedImage>& images, std::vector<fs::path> inputs) const {
  if (writes_by_name()) check_stems(images);
  check_apart(images, std::move(inputs));
  check_truth(images);
}

void ImageOutputs::check_apart(const std::vector<NamedImage>& images, std::vector<fs::path> inputs) const {
  if (truth_)
    for (const auto& [id, label] : images) std::ranges::move(truth_->masks_of(id), std::back_inserter(inputs));
  InputFiles read(std::move(inputs));
  for (const auto& [option, path] : asked_.outputs)
    if (!path.empty() && path != "-") read.require_apart(option, path, path);
  const auto check_folder = [&](const char* option, const fs::path& folder,
                                std::initializer_list<const char*> endings) {
    if (folder.empty()) return;
    read.require_apart(option, folder, folder);
    for (const auto& [id, label] : images)
      for (const char* ending : endings) read.require_apart(option, folder, named(folder, id, ending));
  };
  check_folder("--maps", options_.maps, {kMap, kGrayMap, kOverlay});
  check_folder("--masks", options_.masks, {kMask});
  check_folder("--reconstructions", options_.reconstructions, {kReconstruction});
}

void ImageOutputs::check_truth(const std::vector<NamedImage>& images) const {
  if (!truth_ || truth_->empty()) return;
  std::vector<std::string> ids;
  std::string without;
  bool found = false;
  for (const auto& [id, label] : images) {
    ids.push_back(id);
    if (found || data::meaning_of_folder(label) == data::FolderMeaning::good) continue;
    found = !truth_->masks_of(id).empty();
    if (!found && without.empty()) without = id;
  }
  if (!found && !without.empty()) throw truth_->fits_none(without);
  if (const auto line = truth_->left_over(ids); found && !line.empty()) reporter_.warning(line);
}

void ImageOutputs::decide_rule(const std::string& model) {
  const bool colours = !options_.maps.empty() || page_ != nullptr;
  if (!wants_regions() && !colours) return;
  if (!head_.calibrated() && !options_.pixel_threshold) {
    throw UsageError(model +
                     ": was trained without held-out images, so it knows no pixel threshold; give --pixel-threshold");
  }
  rule_.threshold = options_.pixel_threshold ? *options_.pixel_threshold : head_.pixel_threshold(options_.pixel_alpha);
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

void ImageOutputs::open_files() {
  for (const auto& folder : {options_.maps, options_.masks, options_.reconstructions}) {
    if (!folder.empty()) check_empty_folder(folder, asked_.overwrite);
  }
  if (options_.regions.empty()) return;
  regions_file_ = std::make_unique<Output>(Output::open(options_.regions, asked_.overwrite));
  regions_file_->write("id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y\n");
}

void ImageOutputs::begin_page(const std::string& model, const Flagging& flagging) {
  report::GalleryOptions page;
  page.threshold = flagging.score_threshold();
  page.threshold_rule = flagging.threshold_rule();
  page.heat_scale = report::HeatScale{colours_.low, colours_.high, heat_colours()};
  page.command = asked_.command;
  page.facts = {{"Model", model}, {"Pixel error", std::string(head_.kind_name())}};
  gallery_ = std::make_unique<report::GalleryWriter>(*page_, "Scored images", std::move(page));
}

void ImageOutputs::write(const AnsweredImage& image) {
  at::Tensor map;
  if (!options_.maps.empty() || wants_regions()) map = score::at_original_size(image.map, image.size);
  if (!options_.maps.empty()) {
    const std::span<const float> values(map.data_ptr<float>(), static_cast<std::size_t>(map.numel()));
    const auto save = [&](const char* ending, const std::string& bytes) {
      save_file(named(options_.maps, image.id, ending), asked_.overwrite, bytes);
    };
    save(kMap, data::to_npy(values, map.size(0), map.size(1)));
    save(kGrayMap, gray16_png(map, levels_));
    save(kOverlay, overlay_png(*image.original, map, colours_));
  }
  Regions found;
  const auto flagged = flagging_.flagged(image.score, image.p_value);
  const bool undecided = !flagged && flagging_.decides_at_the_end();
  if (wants_regions()) found = regions_of(map, undecided ? true : flagged);
  if (!options_.masks.empty()) save_file(mask_path(image.id), asked_.overwrite, mask_png(found.mask));
  if (undecided) {
    waiting_.push_back({image.id, image.score, image.p_value, image.size, found.regions});
  } else {
    write_regions(image.id, found.regions);
  }
  if (!options_.reconstructions.empty()) {
    std::vector<at::Tensor> channels;
    for (const auto& channel : image.reconstruction.unbind(0)) {
      channels.push_back(score::at_original_size(channel.contiguous(), image.size));
    }
    save_file(named(options_.reconstructions, image.id, kReconstruction), asked_.overwrite,
              image_png(torch::stack(channels)));
  }
  if (!gallery_) return;
  const auto threshold = flagging_.score_threshold();
  if (!flagged && !undecided && threshold) found = regions_of(map, image.score >= *threshold);
  show(image, map, found);
}

Regions ImageOutputs::regions_of(const at::Tensor& map, std::optional<bool> flagged) const {
  if (flagged && !*flagged) return {torch::zeros({map.size(0), map.size(1)}, torch::kUInt8), {}};
  Regions found = find_regions(map, rule_);
  if (!flagged || !found.regions.empty()) return found;
  // Nothing stands out by the rule for regions, but the image does: by what stands out most.
  const double middle = (colours_.low + map.max().item<double>()) / 2;
  return strongest_region(map, std::min(rule_.threshold, middle));
}

fs::path ImageOutputs::named(const fs::path& folder, const std::string& id, const char* ending) {
  return (folder / file_stem(id)).string() + ending;
}

void ImageOutputs::decide(const Waiting& waiting) {
  if (*flagging_.flagged(waiting.score, waiting.p_value)) return write_regions(waiting.id, waiting.regions);
  if (options_.masks.empty()) return;
  save_file(mask_path(waiting.id), true,
            mask_png(torch::zeros({waiting.size.height, waiting.size.width}, torch::kUInt8)));
}

void ImageOutputs::write_regions(const std::string& id, const std::vector<Region>& regions) {
  found_ += std::ssize(regions);
  if (!regions_file_) return;
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

void ImageOutputs::show(const AnsweredImage& image, const at::Tensor& map, const Regions& found) {
  report::GalleryItem item;
  item.id = image.id;
  item.label = image.label;
  item.score = image.score;
  item.p_value = image.p_value;
  item.width = image.size.width;
  item.height = image.size.height;
  for (const auto& region : found.regions) {
    item.regions.push_back({static_cast<double>(region.x), static_cast<double>(region.y),
                            static_cast<double>(region.width), static_cast<double>(region.height),
                            static_cast<double>(region.area), region.peak});
  }
  if (gallery_->wants_pictures(image.score)) {
    item.input = image_thumbnail(*image.original, kThumbnail);
    item.reconstruction = image_thumbnail(image.reconstruction, image.size, kThumbnail);
    item.heat = overlay_thumbnail(*image.original, map, colours_, kThumbnail);
    item.mask = mask_thumbnail(found.mask, kThumbnail);
    item.truth = truth_of(image);
  }
  gallery_->add(item);
}

// "" when it is not known. It changes no score, so one that is of no use is only named.
std::string ImageOutputs::truth_of(const AnsweredImage& image) {
  const auto files = truth_ ? truth_->masks_of(image.id) : std::vector<fs::path>();
  if (files.empty()) return {};
  const std::string name = files.front().string();
  try {
    auto known = evaluate::read_defect_masks(files);
    const data::Size size{known.height, known.width};
    if (size == image.size) {
      return mask_thumbnail(torch::from_blob(known.defect.data(), {size.height, size.width}, torch::kUInt8) * 255,
                            kThumbnail);
    }
    reporter_.warning(name + ": is " + data::size_text(size) + ", its image " + image.id + " is " +
                      data::size_text(image.size) + "; not shown");
  } catch (const InputError& error) {
    reporter_.warning(error.lines().front() + "; not shown");
  }
  return {};
}

void ImageOutputs::finish() {
  for (const auto& waiting : waiting_) decide(waiting);
  if (truth_ && truth_->empty()) reporter_.warning(options_.truth.string() + ": holds no masks; none are shown");
  if (regions_file_) regions_file_->commit();
  if (!gallery_) return;
  gallery_->finish();
  page_->commit();
}

}  // namespace ae::apply
